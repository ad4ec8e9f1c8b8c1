/**
 * Reads a foreign object whole, once, and says whether it is what the manifest names: its bytes as stored are hashed while
 * they are decrypted and read, or before where that costs little.
 */
import { Hash } from '../crypto/crypto.js';
import type { ForeignObject } from '../index/foreign.js';
import { plainBytes } from '../index/plain.js';
import { named } from '../openpgp/decrypt-object.js';
import type { Opener } from '../openpgp/opener.js';
import type { Target } from '../target/target.js';
import { Scan } from '../volume/scan.js';
import { provenBytes, requireDigest } from './proven.js';

export interface ForeignReader {
	readonly target: Target;
	readonly opener: Opener;
}

/** A foreign object that is being read. */
export interface WholeObject {
	/** Its pieces are to be done with when the next is asked for. */
	readonly tar: AsyncIterable<Buffer>;
	/** Complete when the tar has ended; null when the object has not the form that can be read from the middle. */
	readonly scan: Scan | null;
	/** Whether all that comes is what the manifest says, and can be used at once. */
	readonly isProven: boolean;
}

export interface ReadWholeOptions {
	/** Where the manifest has a digest: the object, in a folder, is read twice for that. */
	readonly provenFirst?: boolean;
	/** Is given the stored bytes. */
	readonly keep?: (chunk: Buffer) => Promise<void>;
}

/**
 * @param read takes the object's tar, to its end
 * @throws DamageError when the object is not what its manifest says, KeyError, TargetError; what `read` was given then is
 * not to be used, unless it was proven first
 */
export async function readWhole<T>(
	object: ForeignObject,
	{ target, opener }: ForeignReader,
	read: (whole: WholeObject) => Promise<T>,
	{ provenFirst = false, keep }: ReadWholeOptions = {},
): Promise<T> {
	const { name, size, sha1 } = object;
	const manifested = sha1 === null ? null : { name, size, sha1 };
	const isProven = provenFirst && manifested !== null;
	const bytes = isProven ? provenBytes(target, manifested) : target.stream(name);
	const hash = new Hash('sha1');
	const iterator = bytes[Symbol.asyncIterator]();
	/** What the attempt to scan has read, to be read again when it fails. */
	let tried: Buffer[] | null = [];
	// Leaves the iterator open, whoever stops reading.
	const stored = async function* () {
		for (let next = await iterator.next(); !next.done; next = await iterator.next()) {
			// While others work on the same bytes.
			const hashed = isProven ? undefined : hash.update(next.value);
			await keep?.(next.value);
			tried?.push(next.value);
			yield next.value;
			await hashed;
		}
	};
	const again = async function* () {
		yield* tried ?? [];
		tried = null;
		yield* stored();
	};
	const scanned = object.form === 'gpg' ? await Scan.open(stored(), opener, isProven) : null;
	if (scanned) tried = null;
	const result = await read(
		scanned
			? { scan: scanned.scan, tar: withName(name, scanned.tar), isProven }
			: { scan: null, tar: plainBytes(name, object.form, again, opener), isProven },
	);
	// What the reader left is read for the digest.
	for await (const _ of stored());
	if (manifested && !isProven) requireDigest(manifested, hash.digest());
	return result;
}

async function* withName(name: string, tar: AsyncIterable<Buffer>): AsyncGenerator<Buffer, void> {
	try {
		yield* tar;
	} catch (error) {
		throw named(name, error);
	}
}
