/**
 * String-to-key: from a passphrase to a symmetric key (RFC 9580 3.7). Kinds 0 (simple), 1 (salted) and 3 (iterated and
 * salted), which is all that gpg writes.
 */
import { iteratedHash } from '../crypto/crypto.js';
import { DamageError, UnsupportedError } from '../errors.js';

export interface S2k {
	/** OpenPGP hash id (RFC 9580 9.5). */
	readonly hash: number;
	/** 8 bytes, or none for kind 0. */
	readonly salt: Buffer;
	/** Octets of salt and passphrase to hash; at least one whole round of both is hashed. */
	readonly count: number;
}

export const SHA_256 = 8;
/** The kind that is iterated and salted. */
export const ITERATED = 3;

const hashNames = new Map([
	[1, 'md5'],
	[2, 'sha1'],
	[3, 'ripemd160'],
	[SHA_256, 'sha256'],
	[9, 'sha384'],
	[10, 'sha512'],
	[11, 'sha224'],
]);

/** Octets that the one coded octet of an iterated S2K stands for: 1024 to 65011712. */
export function decodeCount(coded: number): number {
	return (16 + (coded & 15)) << ((coded >> 4) + 6);
}

/**
 * The S2K specifier at the start of `bytes`, and how many bytes it takes.
 * @throws DamageError when it is cut off, UnsupportedError for an unknown kind or hash
 */
export function parseS2k(bytes: Buffer): { s2k: S2k; length: number } {
	const [kind, hash] = bytes;
	const length = kind === 0 ? 2 : kind === 1 ? 10 : 11;
	if (kind === undefined || hash === undefined || bytes.length < length) {
		throw new DamageError('the passphrase packet of the message is cut off');
	}
	if ((kind !== 0 && kind !== 1 && kind !== ITERATED) || !hashNames.has(hash)) {
		throw new UnsupportedError(`the message has a passphrase of unknown S2K kind ${kind} with hash ${hash}`);
	}
	const salt = bytes.subarray(2, Math.min(length, 10));
	return { s2k: { hash, salt, count: kind === ITERATED ? decodeCount(bytes.readUInt8(10)) : 0 }, length };
}

/**
 * What gpg takes as the passphrase when one is handed to it through a descriptor, as duplicity does: the first line,
 * as UTF-8.
 */
export function passphraseOctets(passphrase: string): Buffer {
	return Buffer.from(passphrase.split('\n', 1)[0] ?? '');
}

/** A key of `length` bytes (at most 64). The highest count costs 0.04 to 0.1 s, on the thread pool. */
export async function deriveKey(s2k: S2k, passphrase: Buffer, length: number): Promise<Buffer> {
	const name = hashNames.get(s2k.hash);
	if (name === undefined) throw new UnsupportedError(`unknown S2K hash ${s2k.hash}`);
	const round = Buffer.concat([s2k.salt, passphrase]);
	const count = Math.max(s2k.count, round.length);
	const key: Buffer[] = [];
	for (let have = 0; have < length; ) {
		// A hash shorter than the key is run again, each time with one more zero octet before.
		const digest = await iteratedHash(name, key.length, round, count);
		key.push(digest);
		have += digest.length;
	}
	return Buffer.concat(key).subarray(0, length);
}
