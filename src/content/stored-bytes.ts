/**
 * Reads a foreign object whole, once, and says whether it is what the manifest names: its bytes as stored are hashed while
 * they are decrypted and read.
 */
import { Hash } from '../crypto/crypto.js';
import { DamageError } from '../errors.js';
import type { ForeignObject } from '../index/foreign.js';
import { plainBytes } from '../index/plain.js';
import { named } from '../openpgp/decrypt-object.js';
import type { Opener } from '../openpgp/opener.js';
import type { Target } from '../target/target.js';
import { Scan } from '../volume/scan.js';

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
}

/**
 * @param read takes the object's tar, to its end
 * @param keep is given the stored bytes
 * @throws DamageError when the object is not what its manifest says, KeyError, TargetError; what `read` was given then is
 * not to be used
 */
export async function readWhole<T>(
	object: ForeignObject,
	{ target, opener }: ForeignReader,
	read: (whole: WholeObject) => Promise<T>,
	keep: (chunk: Buffer) => Promise<void> = async () => {},
): Promise<T> {
	const hash = new Hash('sha1');
	const iterator = target.stream(object.name)[Symbol.asyncIterator]();
	/** What the attempt to scan has read, to be read again when it fails. */
	let tried: Buffer[] | null = [];
	// Leaves the iterator open, whoever stops reading.
	const stored = async function* () {
		for (let next = await iterator.next(); !next.done; next = await iterator.next()) {
			// While others work on the same bytes.
			const hashed = hash.update(next.value);
			await keep(next.value);
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
	const scanned = object.form === 'gpg' ? await Scan.open(stored(), opener) : null;
	if (scanned) tried = null;
	const result = await read(
		scanned
			? { scan: scanned.scan, tar: withName(object.name, scanned.tar) }
			: { scan: null, tar: plainBytes(object.name, object.form, again, opener) },
	);
	// What the reader left is read for the digest.
	for await (const _ of stored());
	const sha1 = hash.digest().toString('hex');
	if (object.sha1 === null || sha1 === object.sha1) return result;
	throw new DamageError(
		`${object.name} is not what its manifest says: its SHA-1 is ${sha1}, not ${object.sha1}.`,
	);
}

async function* withName(name: string, tar: AsyncIterable<Buffer>): AsyncGenerator<Buffer, void> {
	try {
		yield* tar;
	} catch (error) {
		throw named(name, error);
	}
}
