/** Extents to bytes where the index changes under the reader, and the cache of blocks where others use it, too. */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { BlockCache } from '../src/content/blocks.js';
import { Content } from '../src/content/content.js';
import type { ForeignObjects } from '../src/content/foreign.js';
import type { Frames } from '../src/content/frames.js';
import { DamageError } from '../src/errors.js';
import type { LocatedVolume } from '../src/index/index.js';

const tar = Buffer.from('abcdefghijklmnopqrst');

/** @param starts of its frames in the tar */
function volume(...starts: number[]): LocatedVolume {
	const frames = starts.map((tarOffset, i) => {
		const tarLength = (starts[i + 1] ?? tar.length) - tarOffset;
		return { tarOffset, tarLength, offset: tarOffset, length: tarLength, digest: randomBytes(32) };
	});
	const common = { name: 'a volume', size: tar.length, sha1: '', key: Buffer.alloc(32), body: 0 };
	return { ...common, tarLength: tar.length, kind: 'foreign', frames };
}

// Today's scan always finds the same frames; that of another version may not.
test('a foreign volume that was scanned again into other frames gives the same bytes', async () => {
	const former = volume(0, 10);
	const known = [former, volume(0, 7, 15)];
	const foreign = { locate: async () => known.shift() } as unknown as ForeignObjects;
	const frames = {
		read: async (_: number, volume: LocatedVolume, number: number) => {
			if (volume === former) throw new DamageError('its seek points are gone');
			const frame = volume.frames[number] ?? assert.fail(`no frame ${number}`);
			return tar.subarray(frame.tarOffset, frame.tarOffset + frame.tarLength);
		},
	} as unknown as Frames;
	const content = new Content(frames, foreign);
	assert.equal((await content.read([{ volume: 1, offset: 12, length: 6 }])).toString(), 'mnopqr');
});

test('a volume of the same number as one that has gone gives its own bytes', async () => {
	const [gone, other] = [volume(0), volume(0)];
	const known = [gone, other];
	const foreign = { locate: async () => known.shift() } as unknown as ForeignObjects;
	const frames = {
		read: async (_: number, volume: LocatedVolume) => (volume === gone ? tar : Buffer.from(tar).reverse()),
	} as unknown as Frames;
	const content = new Content(frames, foreign);
	const read = async () => (await content.read([{ volume: 1, offset: 0, length: 3 }])).toString();
	assert.equal(await read(), 'abc');
	content.forget();
	assert.equal(await read(), 'tsr');
});

test('mounts that share a cache of blocks keep it to its limit together', async () => {
	const dir = mkdtempSync(join(tmpdir(), 'tsdup-blocks-'));
	after(() => rmSync(dir, { recursive: true }));
	const block = Buffer.alloc(10_000);
	const limit = 1_000_000;
	// Each looks when it has added a tenth of the limit.
	const room = (3 * limit) / 10;
	const sharers = [1, 2, 3].map(() => new BlockCache(dir, limit));
	for (let i = 0; i < 400; i++) {
		await sharers[i % 3]?.put('volume', i, block);
		const bytes = readdirSync(dir).length * block.length;
		assert.ok(bytes <= limit + room + 3 * block.length, `${bytes} bytes after ${i + 1} blocks`);
	}
	assert.ok(readdirSync(dir).length > 80);
});
