/**
 * Random operations on the mount of a random chain end, each of them, as on copies that were made of the source at each backup:
 * with the same bytes, or with the same error.
 */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import {
	accessSync,
	closeSync,
	constants,
	lstatSync,
	mkdirSync,
	openSync,
	readdirSync,
	readFileSync,
	readlinkSync,
	readSync,
} from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import fc from 'fast-check';
import { profile, sandbox, tsdup } from './cli.js';
import { anyEdits, applyEdits, PATHS } from './random-edits.js';
import { SourceTree } from './source-tree.js';

const SEED = 20_101_004;
const SNAPSHOTS = 4;

const box = sandbox();
const source = join(box.dir, 'source');
const copy = (i: number) => join(box.dir, `copy-${i}`);
const folders = { fuse3: join(box.dir, 'mnt-3'), 'fuse-native': join(box.dir, 'mnt-2') };

async function ok(args: string[]): Promise<void> {
	const { code, stderr } = await tsdup(args, box);
	assert.equal(code, 0, stderr);
}

before(async () => {
	profile(box, 'p', `SOURCE='${source}'\nTARGET='file://${box.dir}/target'\nGPG_PW='a passphrase'\n`);
	for (const folder of [source, ...Object.values(folders)]) mkdirSync(folder);
	const tree = new SourceTree(source, 1_700_000_000);
	tree.write('always/large', tree.noise(2_500_000));
	for (const [i, edits] of fc.sample(anyEdits, { seed: SEED, numRuns: SNAPSHOTS }).entries()) {
		applyEdits(tree, edits);
		tree.overwrite('always/large', 700_000 * i, tree.noise(300_000));
		tree.setTimes();
		tree.time += 1;
		execFileSync('cp', ['-a', source, copy(i)]);
		await ok(['backup', 'p']);
	}
	for (const [driver, at] of Object.entries(folders)) await ok(['mount', '--driver', driver, '-p', 'p', at]);
});

after(async () => {
	for (const at of Object.values(folders)) await tsdup(['umount', at], box);
	box.remove();
});

interface Operation {
	readonly what: 'lstat' | 'list' | 'readlink' | 'access' | 'whole' | 'open' | 'pread' | 'read' | 'close';
	readonly snapshot: number;
	readonly path: string;
	readonly offset: number;
	readonly length: number;
	readonly direct: boolean;
	/** Which of the open files, modulo their number. */
	readonly file: number;
}

const anyOperations: fc.Arbitrary<Operation[]> = fc.array(
	fc.record({
		what: fc.constantFrom(
			...(['lstat', 'list', 'readlink', 'access', 'whole', 'open'] as const),
			...(['pread', 'pread', 'read', 'close'] as const),
		),
		snapshot: fc.nat(SNAPSHOTS - 1),
		path: fc.constantFrom(...PATHS, 'always/large', 'always/large', 'always', 'nowhere', ''),
		offset: fc.oneof(fc.nat(3_000_000), fc.constantFrom(0, 4095, 65_535, 131_072, 2 ** 20)),
		length: fc.oneof(fc.nat(400_000), fc.constantFrom(1, 4096, 2 ** 20 + 1)),
		direct: fc.boolean(),
		file: fc.nat(100),
	}),
	{ minLength: 30, maxLength: 60 },
);

/** One side: the mount, or the copies. */
class Side {
	readonly #rootOf: (snapshot: number) => string;
	readonly #open: number[] = [];

	constructor(rootOf: (snapshot: number) => string) {
		this.#rootOf = rootOf;
	}

	/** @returns what came of it, or the error's code */
	perform(operation: Operation): unknown {
		try {
			return this.#perform(operation);
		} catch (error) {
			return (error as NodeJS.ErrnoException).code;
		}
	}

	end(): void {
		for (const fd of this.#open.splice(0)) closeSync(fd);
	}

	#perform({ what, snapshot, path, offset, length, direct, file }: Operation): unknown {
		const at = Buffer.from(`${this.#rootOf(snapshot)}/${path}`, 'latin1');
		const fd = this.#open[file % this.#open.length];
		switch (what) {
			case 'lstat': {
				const { mode, uid, gid, size, mtimeMs, ...stat } = lstatSync(at);
				return [mode, uid, gid, Math.floor(mtimeMs / 1000), ...(stat.isDirectory() ? [] : [size])];
			}
			case 'list': {
				const entries = readdirSync(at, { encoding: 'buffer', withFileTypes: true });
				const named = entries.map((entry) => [
					entry.name.toString('latin1'),
					entry.isFile(),
					entry.isDirectory(),
				]);
				return named.sort();
			}
			case 'readlink':
				return readlinkSync(at, 'latin1');
			case 'access':
				return accessSync(at, constants.R_OK | constants.X_OK);
			case 'whole':
				return lstatSync(at).isFIFO() ? undefined : readFileSync(at);
			case 'open': {
				const flags = constants.O_RDONLY | constants.O_NONBLOCK | (direct ? constants.O_DIRECTORY : 0);
				return void this.#open.push(openSync(at, flags));
			}
			case 'pread':
			case 'read': {
				if (fd === undefined) return undefined;
				const bytes = Buffer.alloc(length);
				const count = readSync(fd, bytes, 0, length, what === 'pread' ? offset : null);
				return bytes.subarray(0, count);
			}
			case 'close':
				return this.#open.splice(file % this.#open.length, 1).forEach(closeSync);
		}
	}
}

for (const [title, at] of [
	['a mount by fuse3 answers as a copy of the source does', folders.fuse3],
	['a mount by fuse-native does, too', folders['fuse-native']],
] as const) {
	test(title, () => {
		const times = readdirSync(at).filter((name) => name.includes('_'));
		assert.equal(times.length, SNAPSHOTS);
		fc.assert(
			fc.property(anyOperations, (operations) => {
				const mounted = new Side((i) => join(at, times[i] as string));
				const expected = new Side(copy);
				try {
					for (const operation of operations) {
						assert.deepEqual(
							mounted.perform(operation),
							expected.perform(operation),
							JSON.stringify(operation),
						);
					}
				} finally {
					mounted.end();
					expected.end();
				}
			}),
			{ seed: SEED, numRuns: 60 },
		);
	});
}
