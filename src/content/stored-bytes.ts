/**
 * Reads a foreign object whole, once, and says whether it is what the manifest names: its bytes as stored are hashed while
 * they are decrypted and read.
 */
import { createHash, type Hash } from 'node:crypto';
import { DamageError } from '../errors.js';
import type { ForeignObject, Member } from '../index/foreign.js';
import { plainBytes } from '../index/plain.js';
import type { Opener } from '../openpgp/opener.js';
import type { Target } from '../target/target.js';
import type { Member as TarMember } from '../volume/members.js';

export interface ForeignReader {
	readonly target: Target;
	readonly opener: Opener;
}

/**
 * @param read takes the object's tar, to its end
 * @throws DamageError when the object is not what its manifest says, KeyError, TargetError; what `read` was given then is
 * not to be used
 */
export async function readWhole<T>(
	object: ForeignObject,
	{ target, opener }: ForeignReader,
	read: (tar: AsyncIterable<Buffer>) => Promise<T>,
): Promise<T> {
	const hash = createHash('sha1');
	const stored = target.stream(object.name)[Symbol.asyncIterator]();
	const result = await read(plainBytes(object.name, object.form, () => hashed(stored, hash), opener));
	// What the reader left is read for the digest.
	for await (const _ of hashed(stored, hash));
	const sha1 = hash.digest('hex');
	if (object.sha1 === null || sha1 === object.sha1) return result;
	throw new DamageError(
		`${object.name} is not what its manifest says: its SHA-1 is ${sha1}, not ${object.sha1}.`,
	);
}

/** Leaves the iterator open, whoever stops reading. */
async function* hashed(chunks: AsyncIterator<Buffer>, hash: Hash): AsyncGenerator<Buffer, void> {
	for (let next = await chunks.next(); !next.done; next = await chunks.next()) {
		hash.update(next.value);
		yield next.value;
	}
}

/** The body of a regular file, or of its delta, for the index; null for every other member. */
export function fileBody({ kind, path, piece, size, metadata }: TarMember, offset: number): Member | null {
	if (metadata.type !== 'file' || (kind !== 'snapshot' && kind !== 'diff')) return null;
	return { path, delta: kind === 'diff', piece, offset, length: size };
}
