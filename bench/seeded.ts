/** Random bytes and numbers that are the same in every run: the tree and its edits are made of them. */
import { createCipheriv, createHash } from 'node:crypto';

const KEPT = 4096;

export class Seeded {
	readonly #cipher;
	#kept: Buffer = Buffer.alloc(0);

	constructor(seed: string) {
		const key = createHash('sha256').update(seed).digest();
		this.#cipher = createCipheriv('aes-256-ctr', key, Buffer.alloc(16));
	}

	/** Bytes that do not compress. */
	bytes(length: number): Buffer {
		return this.#cipher.update(Buffer.alloc(length));
	}

	/** A whole number from 0, below `limit` (at most 2^31). */
	below(limit: number): number {
		if (this.#kept.length < 4) this.#kept = this.bytes(KEPT);
		const number = this.#kept.readUInt32LE();
		this.#kept = this.#kept.subarray(4);
		return number % limit;
	}
}
