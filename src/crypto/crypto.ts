/**
 * What OpenSSL does with many bytes, on the thread pool (native/crypto.cc), where node:crypto would keep the main thread from
 * everything else. Bytes are used in place: nobody else may change them until a call has settled.
 */
import { loadAddon } from '../addon.js';

interface Native {
	hash(name: string): NativeHash;
	decryptor(key: Buffer, before: Buffer): (input: Buffer, output: Buffer) => Promise<unknown>;
	iterate(name: string, zeros: number, seed: Buffer, count: number): Promise<Buffer>;
}

interface NativeHash {
	update(bytes: Buffer): Promise<unknown>;
	digest(): Buffer;
}

/** Of AES, bytes. */
const BLOCK = 16;

let loaded: Native | undefined;

function native(): Native {
	loaded ??= loadAddon('crypto', 'nodejs') as Native;
	return loaded;
}

type HashName = 'sha1' | 'sha256' | 'md5';

/** One call at a time. */
export class Hash {
	readonly #native: NativeHash;

	constructor(name: HashName) {
		this.#native = native().hash(name);
	}

	async update(bytes: Buffer): Promise<void> {
		await this.#native.update(bytes);
	}

	/** Of all bytes so far; the last call. */
	digest(): Buffer {
		return this.#native.digest();
	}
}

/** Of all of the bytes. */
export async function hashOf(name: HashName, bytes: Buffer): Promise<Buffer> {
	const hash = new Hash(name);
	await hash.update(bytes);
	return hash.digest();
}

/** AES-CFB, from any block on. One call at a time. */
export class CfbDecryptor {
	readonly #decrypt: (input: Buffer, output: Buffer) => Promise<unknown>;

	/**
	 * @param key 16, 24 or 32 bytes
	 * @param before the 16 bytes of ciphertext before the first input, or the initialization vector
	 */
	constructor(key: Buffer, before: Buffer) {
		this.#decrypt = native().decryptor(key, before);
	}

	/** @param output of the input's length; may be the input itself */
	async decrypt(input: Buffer, output: Buffer): Promise<void> {
		await this.#decrypt(input, output);
	}
}

/**
 * @param payload ciphertext, and before it the 16 bytes of the block before
 * @param room of at least the same length; may be the payload's own memory
 * @returns its plaintext, in that room
 */
export async function decryptCfb(key: Buffer, payload: Buffer, room: Buffer): Promise<Buffer> {
	const ciphertext = payload.subarray(BLOCK);
	const plain = room.subarray(BLOCK, payload.length);
	await new CfbDecryptor(key, payload.subarray(0, BLOCK)).decrypt(ciphertext, plain);
	return plain;
}

/**
 * The hash of `zeros` zero octets and then `count` octets of the seed over and over: the slow step of an OpenPGP passphrase
 * (RFC 9580 3.7.1.3).
 * @param name as OpenSSL has it
 * @throws Error when OpenSSL has no such hash
 */
export function iteratedHash(name: string, zeros: number, seed: Buffer, count: number): Promise<Buffer> {
	return native().iterate(name, zeros, seed, count);
}
