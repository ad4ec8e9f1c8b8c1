/**
 * Reads a volume of duplicity's once, from beginning to end, and finds its seek points on the way. A volume that has not the form
 * of compressed-data.ts is to be rewritten into the seekable form instead.
 */
import { DamageError, KeyError, UnsupportedError } from '../errors.js';
import { inflate, type Piece } from '../inflate/stream.js';
import { ByteReader, truncated } from '../openpgp/bytes.js';
import { inflaterOf } from '../openpgp/decompress.js';
import type { Opener } from '../openpgp/opener.js';
import { nextPacket, skip } from '../openpgp/packet-reader.js';
import { type BodyStart, PartialLengths } from '../openpgp/partial-lengths.js';
import { type CompressedData, compressedData, otherForm } from './compressed-data.js';
import { type SeekFrame, sealState } from './seek-point.js';

/**
 * Inflated bytes of a frame, at least; at most the inflater's next piece more. Less makes the index larger (a point takes 15 KB),
 * more makes a small read slower (4 MiB take 10 ms).
 */
const SPACING = 4 << 20;

const ONE_PASS_SIGNATURE = 4;
const LITERAL = 11;

/** More than the signatures that may follow the literal packet. */
const LONGEST_TRAILER = 64 << 10;

/** The frame that is being read. */
interface Started {
	/** The inflater's, at its beginning. */
	readonly state: Buffer;
	/** Of its first byte in the compressed data, and in the tar. */
	readonly offset: number;
	readonly tarOffset: number;
	inflated: number;
	crc: number;
	inner: BodyStart | null;
}

export class Scan {
	/** Complete when the tar has ended. */
	readonly frames: SeekFrame[] = [];
	/** Bytes of the tar so far. */
	tarLength = 0;
	readonly #data: CompressedData;
	readonly #literal = new PartialLengths();
	#frame: Started;
	/** Ends when the frames so far are hashed. */
	#hashed: Promise<void> = Promise.resolve();

	private constructor(data: CompressedData, state: Buffer) {
		this.#data = data;
		this.#frame = started(state, 0, 0);
	}

	/**
	 * null when the message has another form, or cannot be opened: who reads it in the general way is told why.
	 * @param stored the object's bytes, in memory that nobody uses again
	 * @returns the scan, and the tar: authentic, and the scan complete, only when its iteration has ended without an error. Its
	 * pieces are to be done with when the next is asked for
	 * @throws what `stored` throws
	 */
	static async open(
		stored: AsyncIterable<Buffer>,
		opener: Pick<Opener, 'sessionKey'>,
	): Promise<{ scan: Scan; tar: AsyncIterable<Buffer> } | null> {
		try {
			const data = await compressedData(stored, opener);
			const inflater = inflaterOf(data.algorithm);
			const scan = new Scan(data, await inflater.mark());
			const pieces = inflate(data.bytes, inflater, { markEvery: SPACING, reuse: true });
			const first = await pieces.next();
			if (first.done) return null;
			const start = await literalStart(first.value.bytes);
			scan.#literal.push(start.lengths);
			scan.#literal.push(first.value.bytes.subarray(start.body, start.content));
			return { scan, tar: scan.#tar(first.value, start.content, pieces) };
		} catch (error) {
			if ([DamageError, KeyError, UnsupportedError].some((kind) => error instanceof kind)) return null;
			throw error;
		}
	}

	/** Session key. */
	get key(): Buffer {
		return this.#data.key;
	}

	async *#tar(first: Piece, content: number, rest: AsyncIterable<Piece>): AsyncGenerator<Buffer, void> {
		let last = first;
		yield this.#take(first, content);
		for await (const piece of rest) {
			last = piece;
			yield this.#take(piece, 0);
		}
		this.#endFrame(last.taken);
		await this.#hashed;
		if (!this.#literal.ended) throw truncated();
		if (this.#literal.loose > LONGEST_TRAILER) {
			throw new DamageError('there are loose bytes after the literal packet');
		}
	}

	/** The tar bytes in what was inflated. */
	#take({ bytes, crc, taken, state }: Piece, from: number): Buffer {
		const frame = this.#frame;
		const body = bytes.subarray(from);
		const noteStart = ({ skip, left }: BodyStart) => {
			frame.inner ??= { skip: frame.inflated + from + skip, left };
		};
		const tar = this.#literal.push(body, noteStart, body);
		frame.inflated += bytes.length;
		frame.crc = crc;
		this.tarLength += tar.length;
		if (state) {
			this.#endFrame(taken);
			this.#frame = started(state, taken, this.tarLength);
		}
		return tar;
	}

	/** @param end of it in the compressed data */
	#endFrame(end: number): void {
		const { state, offset, tarOffset, inflated, crc, inner } = this.#frame;
		if (!inner) return;
		const { outerLeft, cfbSkip, digest, ...range } = this.#data.place(offset, end);
		const point = { outerLeft, cfbSkip, inflated, crc, inner, state: sealState(state, this.key, tarOffset) };
		const frame = { tarOffset, tarLength: this.tarLength - tarOffset, ...range, point };
		this.#hashed = this.#hashed.then(async () => {
			this.frames.push({ ...frame, digest: await digest });
		});
	}
}

function started(state: Buffer, offset: number, tarOffset: number): Started {
	return { state, offset, tarOffset, inflated: 0, crc: 0, inner: null };
}

interface LiteralStart {
	/** The literal packet's first length octets. */
	readonly lengths: Buffer;
	/** Where the packet's body begins, and in it, after the header that gpg writes, the content. */
	readonly body: number;
	readonly content: number;
}

/** @throws UnsupportedError, DamageError when it is not there */
async function literalStart(piece: Buffer): Promise<LiteralStart> {
	const reader = ByteReader.of(piece);
	let packet = await nextPacket(reader);
	while (packet?.tag === ONE_PASS_SIGNATURE) {
		await skip(packet);
		packet = await nextPacket(reader);
	}
	if (packet?.tag !== LITERAL || packet.lengths === null) throw otherForm();
	const body = reader.position;
	const nameLength = (await reader.exactly(2)).readUInt8(1);
	await reader.exactly(nameLength + 4);
	return { lengths: packet.lengths, body, content: reader.position };
}
