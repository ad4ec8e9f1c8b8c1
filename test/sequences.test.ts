/** What is got ready for readers of frames in their order. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Sequences } from '../src/content/sequences.js';

const MIB = 2 ** 20;
/** Of each volume; each frame is one mebibyte. */
const FRAMES = 200;

/** @returns what is got ready at each step: first and last frame */
function read(sequences: Sequences, volume: number, numbers: readonly number[]): [number, number][] {
	return numbers.flatMap((number) => {
		const run = sequences.advance(volume, number, FRAMES, FRAMES * MIB);
		return run ? [[run.first, run.last] as [number, number]] : [];
	});
}

const inOrder = Array.from({ length: FRAMES }, (_, i) => i);

test('A reader in order gets ever more, each frame once, and the next while he is in the one before', () => {
	const runs = read(new Sequences(), 1, inOrder);
	assert.ok(runs.length < FRAMES / 10, `${runs.length} requests`);
	for (const [i, [first, last]] of runs.entries()) {
		assert.equal(first, i === 0 ? 3 : (runs[i - 1]?.[1] ?? 0) + 1);
		assert.ok(last >= first && last - first < 32);
	}
	assert.equal(runs.at(-1)?.[1], FRAMES - 1);
	// Sixteen frames are a window: when he enters it the next one is under way.
	const sequences = new Sequences();
	let ready = 0;
	for (const number of inOrder.slice(0, 180)) {
		const run = sequences.advance(1, number, FRAMES, FRAMES * MIB);
		ready = run?.last ?? ready;
		if (number > 40) assert.ok(ready >= number + 16, `${ready} at ${number}`);
	}
});

test('A little disorder, as of several reads under way, does not end a row', () => {
	const disorder = inOrder.flatMap((number) => (number < 4 ? [number] : [number, number - 3]));
	assert.ok(read(new Sequences(), 1, disorder).length < FRAMES / 10);
	const swapped = inOrder.map((number) => (number % 2 === 0 ? Math.min(number + 1, FRAMES - 1) : number - 1));
	assert.ok(read(new Sequences(), 1, swapped).length < FRAMES / 10);
});

test('Who goes on in the next volume goes on at full speed; in another one he begins anew', () => {
	const sequences = new Sequences();
	read(sequences, 7, inOrder);
	assert.deepEqual(read(sequences, 9, [0, 1]), []);
	assert.deepEqual(read(sequences, 8, [0, 1]), [[2, 33]]);
});

test('For readers of single files, and of places here and there, nothing is got ready', () => {
	const sequences = new Sequences();
	assert.deepEqual(read(sequences, 1, [5, 6]), []);
	assert.deepEqual(read(sequences, 1, [100, 50, 20, 150, 80, 10, 120]), []);
});

test('Readers side by side are told apart', () => {
	const sequences = new Sequences();
	const both = Array.from({ length: 40 }, (_, i) => [i, 100 + i]).flat();
	const runs = read(sequences, 1, both);
	assert.ok(runs.some(([first]) => first < 50) && runs.some(([first]) => first > 100));
	assert.ok(runs.length < 20, JSON.stringify(runs));
});
