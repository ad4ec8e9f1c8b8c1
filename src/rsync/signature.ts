/**
 * rsync signatures of file content, as duplicity stores them in sigtars: MD4 cut to 8 bytes, classic rolling sum.
 * The backup writes them beside every regular file and computes the next run's deltas against them.
 */
import { DamageError } from '../errors.js';
import { native, type Run } from './native.js';

const HEADER = 12;
/** Bytes of an empty file's signature, and of no other's. */
export const EMPTY_FILE_SIGNATURE = HEADER;
const WEAK = 4;
/** Bytes of each strong sum that is written. */
const STRONG_LENGTH = 8;
const UNIT = 512;

/** Square root of the largest safe integer, rounded up to a power of two: no file calls for a longer block. */
const LONGEST_BLOCK = 2 ** 27;

const MD4 = 0x72730136;

/** Magic number to the full length of its strong sums in bytes: MD4 and BLAKE2, each with either rolling sum. */
const STRONG = new Map([
	[MD4, 16],
	[0x72730137, 32],
	[0x72730146, 16],
	[0x72730147, 32],
]);

/**
 * Block length in bytes for a file of `fileSize` bytes: about a quarter of its square root. Each changed spot costs about a
 * block in the delta and each block 12 bytes in the signature, and this balances the two for some hundred spots in a disk
 * image. duplicity 0.8.22 never goes above 2048, whatever the signature grows to; 3.0.3 takes the whole square root.
 */
export function blockLength(fileSize: number): number {
	return Math.max(UNIT, Math.ceil(Math.floor(Math.sqrt(fileSize) / 4) / UNIT) * UNIT);
}

/** Bytes of the signature of a file of `size` bytes. */
export function signatureLength(size: number, blockLength: number): number {
	return HEADER + Math.ceil(size / blockLength) * (WEAK + STRONG_LENGTH);
}

/** The signature of a whole file held in memory, in one job on the thread pool; the content must not change until then. */
export async function signatureOf(content: Buffer, blockLength: number): Promise<Buffer> {
	return native().signatureJob(blockLength)(content, true);
}

/**
 * The signature of a file that is read in pieces, of any sizes. Await each call before the next; a chunk must not
 * change until its call has settled. The signature is all the calls' bytes together.
 */
export class SignatureStream {
	readonly #run: Run;

	/** `blockLength` in bytes. */
	constructor(blockLength: number) {
		this.#run = native().signatureJob(blockLength);
	}

	/** Resolves to the signature bytes that became available, maybe none. */
	async update(chunk: Buffer): Promise<Buffer> {
		return this.#run(chunk, false);
	}

	/** The file is over; resolves to the rest of its signature. */
	async final(): Promise<Buffer> {
		return this.#run(Buffer.alloc(0), true);
	}
}

/**
 * Whether content, in pieces of any size, is what a signature was made of; as sure as a delta. No for kinds of signatures that
 * are not written here.
 */
export async function isSignatureOf(
	signature: Buffer,
	content: AsyncIterable<Buffer> | Iterable<Buffer>,
): Promise<boolean> {
	if (signature.length < HEADER || signature.readUInt32BE(0) !== MD4) return false;
	const block = signature.readUInt32BE(4);
	if (signature.readUInt32BE(8) !== STRONG_LENGTH || block < 1 || block > LONGEST_BLOCK) return false;
	const made = new SignatureStream(block);
	let at = 0;
	const goesOn = (part: Buffer) => {
		const start = at;
		at += part.length;
		return part.equals(signature.subarray(start, at));
	};
	for await (const piece of content) if (!goesOn(await made.update(piece))) return false;
	return goesOn(await made.final()) && at === signature.length;
}

/** Throws DamageError when these bytes are no signature of a kind that librsync knows, or are cut off in a block. */
export function checkSignature(signature: Buffer): void {
	if (signature.length < HEADER) {
		throw new DamageError(
			`A stored signature is cut off: ${signature.length} bytes, its header alone has 12`,
		);
	}
	const magic = signature.readUInt32BE(0);
	const block = signature.readUInt32BE(4);
	const strong = signature.readUInt32BE(8);
	const longest = STRONG.get(magic);
	if (longest === undefined) {
		throw new DamageError(
			`A stored signature begins with 0x${magic.toString(16)}, which is no kind of signature`,
		);
	}
	if (block < 1 || block > LONGEST_BLOCK) {
		throw new DamageError(`A stored signature has an impossible block length, ${block} bytes`);
	}
	if (strong < 1 || strong > longest) {
		throw new DamageError(`A stored signature has an impossible strong sum length, ${strong} bytes`);
	}
	if ((signature.length - HEADER) % (WEAK + strong) !== 0) {
		throw new DamageError(
			`A stored signature is cut off inside a block's sums, at ${signature.length} bytes`,
		);
	}
}

/**
 * How long the file may be that a signature belongs to, in bytes.
 * @param header the signature's first 12 bytes at least
 * @param length of the whole signature, bytes
 * @throws DamageError as `checkSignature`
 */
export function signedLength(header: Buffer, length: number): { least: number; most: number } {
	checkSignature(header.subarray(0, HEADER));
	const block = header.readUInt32BE(4);
	const blocks = Math.floor((length - HEADER) / (WEAK + header.readUInt32BE(8)));
	return { least: blocks === 0 ? 0 : (blocks - 1) * block + 1, most: blocks * block };
}
