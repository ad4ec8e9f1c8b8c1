/** A seeded source of randomness: the same seed gives the same test again. */
import { createCipheriv } from 'node:crypto';

export interface Random {
	bytes(length: number): Buffer;
	/** From 0 to below 1. */
	fraction(): number;
}

export function random(seed: number): Random {
	const key = Buffer.alloc(16);
	key.writeUInt32BE(seed);
	const stream = createCipheriv('aes-128-ctr', key, Buffer.alloc(16));
	const bytes = (length: number) => stream.update(Buffer.alloc(length));
	return { bytes, fraction: () => bytes(4).readUInt32BE() / 2 ** 32 };
}
