/**
 * The session key of a message and the ciphers it may belong to. Pure; used by all of src/openpgp and by whoever
 * decrypts ranges of a message with a key that was kept.
 */
import { createCipheriv, createDecipheriv, type Decipher } from 'node:crypto';
import { CfbDecryptor } from '../crypto/crypto.js';
import { TsdupError, UnsupportedError } from '../errors.js';

export interface SessionKey {
	/** OpenPGP cipher id (RFC 9580 9.3). */
	readonly algorithm: number;
	readonly key: Buffer;
}

/** OpenPGP id of the cipher that every message of ours uses. */
export const AES_256 = 9;

/** IDEA, 3DES, CAST5, Blowfish; AES-128, -192, -256; Twofish; Camellia-128, -192, -256. */
const keyBytes = new Map([
	[1, 16],
	[2, 24],
	[3, 16],
	[4, 16],
	[7, 16],
	[8, 24],
	[AES_256, 32],
	[10, 32],
	[11, 16],
	[12, 24],
	[13, 32],
]);

/** Key length in bytes of a cipher id. @throws UnsupportedError for a cipher that OpenPGP has no id for */
export function keyLength(algorithm: number): number {
	const bytes = keyBytes.get(algorithm);
	if (bytes === undefined) throw new UnsupportedError(`encrypted with unknown OpenPGP cipher ${algorithm}`);
	return bytes;
}

/** Whether this is a key of one of the ciphers, as far as its length tells. */
export function isSessionKey({ algorithm, key }: SessionKey): boolean {
	return keyBytes.get(algorithm) === key.length;
}

/** The ciphers that messages are decrypted with in this process; all others need GnuPG. */
export function isAes(algorithm: number): boolean {
	return algorithm >= 7 && algorithm <= AES_256;
}

const zeroIv = Buffer.alloc(16);

/** CFB with a zero IV, as all of OpenPGP uses it. @throws UnsupportedError when the cipher is not AES, TsdupError when the key has the wrong length */
export function decipher({ algorithm, key }: SessionKey): Decipher {
	return createDecipheriv(cfbName(algorithm, key), key, zeroIv);
}

/** The same for long messages, on the thread pool. @throws as `decipher` */
export function cfbDecryptor({ algorithm, key }: SessionKey): CfbDecryptor {
	checkAes(algorithm, key);
	return new CfbDecryptor(key, zeroIv);
}

/** Encrypts `plain` with CFB and a zero IV. @throws TsdupError as `decipher` */
export function encipher({ algorithm, key }: SessionKey, plain: Buffer): Buffer {
	return createCipheriv(cfbName(algorithm, key), key, zeroIv).update(plain);
}

function cfbName(algorithm: number, key: Buffer): string {
	checkAes(algorithm, key);
	return `aes-${key.length * 8}-cfb`;
}

function checkAes(algorithm: number, key: Buffer): void {
	if (!isAes(algorithm)) throw new UnsupportedError(`OpenPGP cipher ${algorithm} needs GnuPG`);
	const bytes = keyLength(algorithm);
	if (key.length !== bytes) {
		throw new TsdupError(
			`a session key of ${key.length} bytes does not fit its cipher, which needs ${bytes}`,
		);
	}
}

/**
 * Whether a session key is the right one, as far as the first 18 decrypted bytes of a message can tell: 16 random bytes,
 * of which the last two are repeated. One of 65536 wrong keys passes.
 */
export function checkPrefix(first18plain: Buffer): boolean {
	return first18plain.length >= 18 && first18plain.readUInt16BE(14) === first18plain.readUInt16BE(16);
}
