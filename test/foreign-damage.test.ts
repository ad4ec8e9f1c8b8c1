/**
 * What is damaged or lost in a collection without segments costs what lies in it, and nothing else: never wrong bytes, never
 * a crash, never more than stock duplicity loses. Every case reads all of every snapshot as the mount does.
 */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import {
	chmodSync,
	cpSync,
	existsSync,
	mkdirSync,
	mkdtempSync,
	readdirSync,
	readFileSync,
	rmSync,
	utimesSync,
	writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { gunzipSync, gzipSync } from 'node:zlib';
import { parseName } from '../src/collection/names.js';
import { KeyError } from '../src/errors.js';
import { duplicity, profile, sandbox, tsdup } from './cli.js';
import { bytesFrom, random } from './seeded.js';
import { openView, type Seen, type View } from './view.js';

const PASSPHRASE = 'a passphrase of the damage test';
const DAY = 86_400;
const FIRST = Date.UTC(2024, 4, 1, 12) / 1000;

const box = sandbox();
const source = join(box.dir, 'source');
Object.assign(box.env, { PASSPHRASE, TZ: 'UTC' });
Object.assign(process.env, box.env);

interface Made {
	readonly dir: string;
	/** By snapshot: content by path. */
	readonly trees: readonly ReadonlyMap<string, Buffer>[];
	/** By snapshot: the names of the objects that each path's content lies in. */
	readonly needs: readonly Map<string, Set<string>>[];
}

/** By turns a full and three increments, of several volumes: the big files go over their borders. */
const STEPS: readonly (() => void)[] = [
	() => {
		mkdirSync(join(source, 'dir'));
		for (const [name, length] of Object.entries({
			a: 3000,
			big: 1_200_000,
			c: 2000,
			'dir/m': 200_000,
			'dir/n': 200_000,
			empty: 0,
			w: 700_000,
			z: 5000,
		})) {
			put(name, bytesFrom(name, length));
		}
	},
	() => {
		put('a', bytesFrom('a1', 3001));
		edit('big', 700_000);
		put('new', bytesFrom('new', 1_150_000));
	},
	() => {
		rmSync(join(source, 'c'));
		put('dir/m', bytesFrom('m2', 250_000));
		edit('big', 1_100_000);
		put('a', bytesFrom('a2', 3002));
	},
	() => {
		put('a', bytesFrom('a3', 3003));
		rmSync(join(source, 'new'));
		chmodSync(join(source, 'z'), 0o600);
	},
];

/** duplicity knows a changed file by the second of its mtime only. */
let clock = FIRST - DAY;

function put(name: string, bytes: Buffer): void {
	writeFileSync(join(source, name), bytes);
	clock += 10;
	utimesSync(join(source, name), clock, clock);
}

function edit(name: string, at: number): void {
	const bytes = readFileSync(join(source, name));
	bytes.write('edited here', at);
	put(name, bytes);
}

function sourceTree(): Map<string, Buffer> {
	const names = readdirSync(source, { recursive: true, withFileTypes: true });
	const files = names.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name));
	return new Map(files.map((path) => [path.slice(source.length + 1), readFileSync(path)]));
}

async function make(name: string, backup: (dir: string, step: number) => Promise<void>): Promise<Made> {
	rmSync(source, { recursive: true, force: true });
	mkdirSync(source);
	const dir = join(box.dir, name);
	const trees: Map<string, Buffer>[] = [];
	for (const [i, step] of STEPS.entries()) {
		step();
		await backup(dir, i);
		trees.push(sourceTree());
	}
	const view = await open(dir);
	const needs = [];
	for (const [i, tree] of trees.entries()) {
		assertSame(await view.read(i), tree, `${name}, undamaged, snapshot ${i}`);
		needs.push(new Map([...tree.keys()].map((path) => [path, view.objectsOf(i, path)])));
	}
	view.close();
	return { dir, trees, needs };
}

function assertSame(seen: Seen, tree: ReadonlyMap<string, Buffer> | undefined, what: string): void {
	assert.deepEqual([...seen.keys()].sort(), [...(tree?.keys() ?? [])].sort(), what);
	for (const [path, bytes] of seen) assert.ok(bytes && tree?.get(path)?.equals(bytes), `${path} of ${what}`);
}

function byStock(name: string, ...options: string[]): Promise<Made> {
	return make(name, async (dir, step) => {
		const time = String(FIRST + step * DAY);
		const args = ['--volsize', '1', '--no-print-statistics', '--current-time', time, ...options];
		const ended = await duplicity([step === 0 ? 'full' : 'incr', ...args, source, `file://${dir}`], box);
		assert.equal(ended.code, 0, ended.stdout + ended.stderr);
	});
}

function byTsdup(name: string, ...conf: string[]): Promise<Made> {
	profile(
		box,
		name,
		[
			`SOURCE='${source}'`,
			`TARGET='file://${join(box.dir, name)}'`,
			`DUPL_PARAMS='--volsize 1'`,
			...conf,
			'',
		].join('\n'),
	);
	return make(name, async () => {
		const ended = await tsdup(['backup', name], box);
		assert.equal(ended.code, 0, ended.stderr);
	});
}

/** A copy of the collection, and the view of it with an empty cache. */
function copy({ dir }: Made): string {
	const damaged = join(mkdtempSync(join(box.dir, 'case-')), 'target');
	cpSync(dir, damaged, { recursive: true });
	return damaged;
}

function open(dir: string): Promise<View> {
	process.env.XDG_CACHE_HOME = mkdtempSync(join(box.dir, 'cache-'));
	return openView(`file://${dir}`);
}

function discard(dir: string): void {
	rmSync(join(dir, '..'), { recursive: true });
	rmSync(process.env.XDG_CACHE_HOME as string, { recursive: true });
}

type Part = 'volume' | 'sigtar' | 'manifest' | 'segment';

/** An object of a set, by the set's number in time. */
function object({ dir }: Made, part: Part, set: number, volume?: number): string {
	const names = readdirSync(dir).map((name) => ({ name, parsed: parseName(name) }));
	const times = [...new Set(names.map(({ parsed }) => parsed?.time))].sort();
	const found = names.find(
		({ parsed }) =>
			parsed?.part === part &&
			parsed.time === times[set] &&
			(volume === undefined || parsed.volume === volume),
	);
	assert.ok(found, `${part} of set ${set}`);
	return found.name;
}

const OBJECTS: [string, Part, number, number?][] = [
	['the second volume of the full', 'volume', 0, 2],
	['an increment’s first volume', 'volume', 1, 1],
	['the full’s sigtar', 'sigtar', 0],
	['an increment’s sigtar', 'sigtar', 2],
	['the full’s manifest', 'manifest', 0],
	['an increment’s manifest', 'manifest', 1],
	['the newest increment’s manifest', 'manifest', 3],
];

type Damage = (path: string, seed: string) => void;

const flip =
	(from: number, to: number): Damage =>
	(path, seed) => {
		const bytes = readFileSync(path);
		const at = Math.floor((from + random(seed)() * (to - from)) * bytes.length);
		bytes[at] = (bytes[at] as number) ^ (1 << Math.floor(random(`${seed} bit`)() * 8));
		writeFileSync(path, bytes);
	};

const DAMAGES: [string, Damage][] = [
	['deleted', (path) => rmSync(path)],
	['empty', (path) => writeFileSync(path, '')],
	[
		'cut off',
		(path, seed) => {
			const bytes = readFileSync(path);
			writeFileSync(path, bytes.subarray(0, Math.floor(random(seed)() * bytes.length)));
		},
	],
	['with a bit flipped at its beginning', flip(0, 0.02)],
	['with a bit flipped in its middle', flip(0.02, 0.98)],
	['with a bit flipped at its end', flip(0.98, 1)],
];

/**
 * Reads everything, and holds it against what was backed up.
 * @param mayFail whether a path of a snapshot may be unreadable
 * @param mustFail whether it must: what is known to be damaged is said, not hidden
 */
async function assertContained(
	dir: string,
	{ trees }: Made,
	mayFail: (snapshot: number, path: string) => boolean,
	{ mustFail = false, names = [] as readonly RegExp[] } = {},
): Promise<void> {
	const view = await open(dir);
	try {
		assert.equal(view.count, trees.length, `all snapshots are shown: ${view.notes.join('\n')}`);
		for (const [i, tree] of trees.entries()) {
			const seen = await view.read(i);
			assert.deepEqual([...seen.keys()].sort(), [...tree.keys()].sort(), `names in snapshot ${i}`);
			for (const [path, bytes] of seen) {
				const what = `${path} of snapshot ${i}\n${[...view.notes, ...view.log].join('\n')}`;
				if (bytes) assert.ok(bytes.equals(tree.get(path) as Buffer), `wrong bytes: ${what}`);
				else assert.ok(mayFail(i, path), `needlessly unreadable: ${what}`);
				if (mustFail && bytes) assert.ok(!mayFail(i, path), `read in spite of the damage: ${what}`);
				const line = view.log.find((said) => said.startsWith(`${path.split('/').at(-1)} of `));
				if (!bytes) assert.ok(line && names.some((name) => name.test(line)), `the log says why: ${what}`);
			}
		}
	} finally {
		view.close();
	}
}

let plain: Made;
let encrypted: Made;
let own: Made;

before(async () => {
	plain = await byStock('stock-plain', '--no-encryption');
	encrypted = await byStock('stock-gpg');
	own = await byTsdup('own', `GPG_PW='${PASSPHRASE}'`);
});
after(() => box.remove());

// The encrypted kinds do without some damages: they are found wherever they are, and each key costs a tenth of a second.
for (const [kind, made, segments, damages] of [
	['by stock, not encrypted', () => plain, false, /./],
	['by stock, encrypted', () => encrypted, false, /cut off|beginning/],
	['by tsdup', () => own, true, /deleted|cut off|beginning/],
	['by tsdup, without its segments', () => own, false, /deleted|beginning/],
] as const) {
	describe(`a collection made ${kind}`, () => {
		for (const [what, part, set, volume] of OBJECTS) {
			test(`${what} damaged costs what lies in it only`, async () => {
				for (const [how, damage] of DAMAGES.filter(([how]) => damages.test(how))) {
					const name = object(made(), part, set, volume);
					const dir = copy(made());
					if (!segments) {
						for (const file of readdirSync(dir))
							if (parseName(file)?.part === 'segment') rmSync(join(dir, file));
					}
					damage(join(dir, name), `${kind} ${what} ${how}`);
					// A plain manifest has no digest: a flipped bit may cost the files of the volumes it lists.
					const blurred = part === 'manifest' && kind === 'by stock, not encrypted' && how !== 'deleted';
					const needs = (i: number, path: string) => made().needs[i]?.get(path)?.has(name) ?? false;
					try {
						await assertContained(dir, made(), (i, path) => blurred || needs(i, path), {
							mustFail: part === 'volume' && !segments,
							names: [blurred ? /./ : new RegExp(name.replaceAll('.', '\\.'))],
						});
					} catch (error) {
						(error as Error).message = `${name} ${how}: ${(error as Error).message}`;
						throw error;
					}
					discard(dir);
				}
			});
		}
	});
}

describe('what stock still restores', () => {
	for (const [what, part, set, volume] of OBJECTS) {
		test(`without ${what} tsdup shows, too`, async () => {
			const dir = copy(plain);
			rmSync(join(dir, object(plain, part, set, volume)));
			const view = await open(dir);
			const restored = await Promise.all(
				plain.trees.map(async (_, i) => {
					const home = mkdtempSync(join(box.dir, 'home-'));
					const to = join(home, 'restored');
					const time = String(FIRST + i * DAY);
					const options = ['--no-encryption', '--archive-dir', join(home, 'archive'), '-t', time];
					await duplicity(['restore', ...options, `file://${dir}`, to], box);
					return to;
				}),
			);
			let count = 0;
			for (const [i, tree] of plain.trees.entries()) {
				const seen = await view.read(i);
				for (const [path, bytes] of tree) {
					const file = join(restored[i] as string, path);
					if (!existsSync(file) || !readFileSync(file).equals(bytes)) continue;
					count++;
					assert.ok(seen.get(path)?.equals(bytes), `${path} of snapshot ${i}`);
				}
			}
			if (part === 'sigtar') assert.ok(count > 30, `stock restores all: ${count}`);
			view.close();
			discard(dir);
		});
	}
});

describe('two losses in one set', () => {
	const lastVolume = () =>
		Math.max(
			...readdirSync(plain.dir).map((name) => {
				const parsed = parseName(name);
				return parsed?.kind === 'full' ? (parsed.volume ?? 0) : 0;
			}),
		);

	test('the manifest and the last volume: a file that lacks its end is not shown as a shorter one', async () => {
		const dir = copy(plain);
		const gone = object(plain, 'volume', 0, lastVolume());
		rmSync(join(dir, object(plain, 'manifest', 0)));
		rmSync(join(dir, gone));
		await assertContained(dir, plain, (i, path) => plain.needs[i]?.get(path)?.has(gone) ?? false, {
			mustFail: true,
			names: [/do not hold/],
		});
		discard(dir);
	});

	test('a manifest that is cut off behind one of its volumes hides the others, and no end of a file', async () => {
		for (let kept = 1; kept < lastVolume(); kept++) {
			const dir = copy(plain);
			const path = join(dir, object(plain, 'manifest', 0));
			const text = readFileSync(path, 'latin1');
			const cut = text.indexOf(`Volume ${kept + 1}:`);
			assert.ok(cut > 0);
			writeFileSync(path, text.slice(0, cut), 'latin1');
			await assertContained(dir, plain, () => true, { names: [/do not hold/] });
			discard(dir);
		}
	});

	test('a manifest whose last volume has another’s number: no end of a file is hidden', async () => {
		const dir = copy(plain);
		const path = join(dir, object(plain, 'manifest', 0));
		const text = readFileSync(path, 'latin1');
		const last = lastVolume();
		writeFileSync(path, text.replace(`Volume ${last}:`, `Volume ${last - 1}:`), 'latin1');
		await assertContained(dir, plain, () => true, { names: [/./] });
		discard(dir);
	});

	for (const [what, lost] of [
		['its sigtar and its manifest', ['sigtar', 'manifest']],
		['its sigtar and a volume', ['sigtar', 'volume']],
	] as const) {
		test(`${what}: the set and those upon it are not shown, and the ones before are right`, async () => {
			for (const damage of [0, 1, 2, 4]) {
				const dir = copy(plain);
				for (const part of lost) DAMAGES[damage]?.[1](join(dir, object(plain, part, 2)), `${what} ${damage}`);
				const view = await open(dir);
				// Without its end, or with other bits, a plain manifest may still be one.
				if (damage < 2 || lost.includes('volume' as never)) assert.equal(view.count, 2, `${what} ${damage}`);
				for (let i = 0; i < view.count; i++)
					assertSame(await view.read(i), plain.trees[i], `${what} ${damage}, snapshot ${i}`);
				view.close();
				discard(dir);
			}
		});
	}
});

test('a sigtar that is neither compressed nor encrypted, and cut off between two entries: nothing is missed', async () => {
	const bare = await byStock('stock-bare', '--no-encryption', '--no-compression');
	const name = object(bare, 'sigtar', 2);
	const tar = readFileSync(join(bare.dir, name));
	// The entry of `c`, which is gone in this set, stands behind those of `a` and `big`.
	const cut = tar.indexOf('deleted/c\0');
	assert.ok(cut > 0 && cut % 512 === 0);
	for (const length of [0, cut, cut + 512]) {
		const dir = copy(bare);
		writeFileSync(join(dir, name), tar.subarray(0, length));
		await assertContained(dir, bare, () => false);
		discard(dir);
	}
});

describe('a key', () => {
	test('that is wrong is not taken for damage', async () => {
		process.env.PASSPHRASE = 'another';
		try {
			await assert.rejects(open(encrypted.dir), KeyError);
		} finally {
			process.env.PASSPHRASE = PASSPHRASE;
		}
	});
});

describe('any bytes', () => {
	/** What a hostile or broken disk may have made of an object's bytes. */
	function mutate(bytes: Buffer, seed: string): Buffer {
		const next = random(seed);
		const at = () => Math.floor(next() * (bytes.length + 1));
		const result = Buffer.from(bytes);
		switch (Math.floor(next() * 6)) {
			case 0:
				return bytesFrom(seed, at());
			case 1:
				return Buffer.concat([result.subarray(0, at()), bytesFrom(seed, 600), result.subarray(at())]);
			case 2:
				return result.fill(Math.floor(next() * 256), at(), at());
			case 3:
				return Buffer.concat([result.subarray(0, at()), result.subarray(at())]);
			case 4:
				return Buffer.concat([result, result]);
			default:
				for (let i = 0; i < 20 && bytes.length > 0; i++)
					result[at() % bytes.length] = Math.floor(next() * 256);
				return result;
		}
	}

	for (const [part, set, volume] of [
		['sigtar', 0],
		['sigtar', 1],
		['manifest', 0],
		['manifest', 1],
		['volume', 0, 2],
		['volume', 1, 1],
	] as const) {
		test(`in the place of a stored ${part} of set ${set}: right bytes or an error`, async () => {
			const name = object(plain, part, set, volume);
			for (let i = 0; i < 6; i++) {
				const dir = copy(plain);
				const path = join(dir, name);
				writeFileSync(path, mutate(readFileSync(path), `${part} ${set} ${i}`));
				const view = await open(dir);
				for (let snapshot = 0; snapshot < view.count; snapshot++) {
					const tree = plain.trees[snapshot];
					for (const [file, bytes] of await view.read(snapshot))
						if (bytes) assert.ok(tree?.get(file)?.equals(bytes), `${file} of ${snapshot}, seed ${i}`);
				}
				view.close();
				discard(dir);
			}
		});
	}

	for (const [part, set, volume] of [
		['sigtar', 1],
		['volume', 1, 1],
	] as const) {
		test(`within the compression of a ${part}: every path ends in bytes or in EIO, in little time`, async () => {
			const name = object(plain, part, set, volume);
			const manifest = object(plain, 'manifest', set);
			for (let i = 0; i < 6; i++) {
				const dir = copy(plain);
				const path = join(dir, name);
				const tar = gunzipSync(readFileSync(path));
				// The beginning, where the headers are, is hit in every case.
				const hit = mutate(tar.subarray(0, 4096), `${part} ${i}`);
				const forged = gzipSync(Buffer.concat([hit, tar.subarray(4096)]), { level: 1 });
				const sums = [readFileSync(path), forged].map((bytes) =>
					execFileSync('sha1sum', { input: bytes }).toString().slice(0, 40),
				) as [string, string];
				writeFileSync(path, forged);
				const listed = readFileSync(join(dir, manifest), 'latin1');
				writeFileSync(join(dir, manifest), listed.replace(...sums), 'latin1');
				const started = Date.now();
				const view = await open(dir);
				for (let snapshot = 0; snapshot < view.count; snapshot++) await view.read(snapshot);
				view.close();
				assert.ok(Date.now() - started < 10_000);
				discard(dir);
			}
		});
	}
});
