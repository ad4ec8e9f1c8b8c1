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

/** By OpenPGP's id; OpenSSL's name, and bytes. */
const hashes = new Map([
	[1, { name: 'md5', length: 16 }],
	[2, { name: 'sha1', length: 20 }],
	[3, { name: 'ripemd160', length: 20 }],
	[SHA_256, { name: 'sha256', length: 32 }],
	[9, { name: 'sha384', length: 48 }],
	[10, { name: 'sha512', length: 64 }],
	[11, { name: 'sha224', length: 28 }],
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
	if ((kind !== 0 && kind !== 1 && kind !== ITERATED) || !hashes.has(hash)) {
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

/** A key of `length` bytes (at most 64). The highest count costs 0.04 to 0.1 s, with SHA-1 twice, on the thread pool. */
export async function deriveKey(s2k: S2k, passphrase: Buffer, length: number): Promise<Buffer> {
	const hash = hashes.get(s2k.hash);
	if (hash === undefined) throw new UnsupportedError(`unknown S2K hash ${s2k.hash}`);
	const round = Buffer.concat([s2k.salt, passphrase]);
	const count = Math.max(s2k.count, round.length);
	// A hash shorter than the key is run again, each time with one more zero octet before: for AES-256 gpg's SHA-1 is.
	const parts = Array.from({ length: Math.ceil(length / hash.length) }, (_, zeros) =>
		iteratedHash(hash.name, zeros, round, count),
	);
	return Buffer.concat(await Promise.all(parts)).subarray(0, length);
}
