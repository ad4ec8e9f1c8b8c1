/** Random numbers and bytes that are the same in every run: a failure can be seen again. */
import { createCipheriv, createHash } from 'node:crypto';

/** Bytes that do not compress. */
export function bytesFrom(seed: string, length: number): Buffer {
	const key = createHash('sha256').update(seed).digest();
	return createCipheriv('aes-256-ctr', key, Buffer.alloc(16)).update(Buffer.alloc(length));
}

/** @returns numbers from 0 up to 1 */
export function random(seed: string): () => number {
	const numbers = bytesFrom(seed, 4096);
	let at = 0;
	return () => {
		at = (at + 4) % numbers.length;
		return numbers.readUInt32BE(at) / 2 ** 32;
	};
}
