/**
 * A large file as disk images and databases are: stretches of text, of bytes that do not compress and of zeros,
 * changed in place at many small spots.
 */
import { open } from 'node:fs/promises';
import { Seeded } from './seeded.js';

const STRETCH = 2 ** 20;
const WORDS = 4096;

/** Writes an image of `length` bytes, a multiple of 1 MiB. */
export async function makeImage(path: string, length: number): Promise<void> {
	const random = new Seeded('image');
	const words = Array.from({ length: WORDS }, () => word(random));
	const file = await open(path, 'wx');
	try {
		for (let written = 0; written < length; written += STRETCH) await file.write(stretch(random, words));
	} finally {
		await file.close();
	}
}

/** Overwrites `count` spots of `length` bytes, half of each text-like and half random. */
export async function spoil(path: string, count: number, length: number, seed: string): Promise<void> {
	const random = new Seeded(seed);
	const file = await open(path, 'r+');
	try {
		const { size } = await file.stat();
		for (let i = 0; i < count; i++) {
			const bytes = Buffer.concat([
				Buffer.from(random.bytes(length / 4).toString('hex')),
				random.bytes(length / 2),
			]);
			await file.write(bytes, 0, bytes.length, random.below(size - length));
		}
	} finally {
		await file.close();
	}
}

function stretch(random: Seeded, words: readonly string[]): Buffer {
	switch (random.below(4)) {
		case 0:
			return Buffer.alloc(STRETCH);
		case 1:
			return random.bytes(STRETCH);
		default:
			return text(random, words);
	}
}

function text(random: Seeded, words: readonly string[]): Buffer {
	const chosen: string[] = [];
	for (let length = 0; length < STRETCH; ) {
		const next = words[random.below(WORDS)] as string;
		chosen.push(next);
		length += next.length + 1;
	}
	return Buffer.from(`${chosen.join(' ')} `).subarray(0, STRETCH);
}

function word(random: Seeded): string {
	return Array.from({ length: 2 + random.below(9) }, () => String.fromCharCode(97 + random.below(26))).join(
		'',
	);
}
