/** Collections that duplicity wrote are shown as stock restores them, in every form that it has ever written. */
import assert from 'node:assert/strict';
import { cpSync, mkdirSync, readdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { isDeepStrictEqual } from 'node:util';
import { succeed } from './chain.js';
import { profile, type Sandbox, sandbox, tsdup } from './cli.js';
import {
	assertShows,
	assertShowsStep,
	copySecretKey,
	dayOf,
	expectedTree,
	importKeys,
	type Mounted,
	mount,
	PASSPHRASE,
	removeCaches,
	unpack,
} from './fixtures.js';
import { assertSameTree, describeTree, type TreeEntry } from './tree.js';

const ALL = [0, 1, 2, 3, 4, 5];
const TWO = [0, 1];

/** Which steps of which tree are in each collection. */
const COLLECTIONS: readonly [name: string, kind: string, steps: readonly number[]][] = [
	['plain-08', 'std', ALL],
	['plain-30', 'std', ALL],
	['plain-31', 'std', ALL],
	['sym-08', 'std', ALL],
	['sym-31', 'std', ALL],
	['pubsign-08', 'std', ALL],
	['ecc-08', 'mini', TWO],
	['hidden-08', 'mini', TWO],
	['symsign-08', 'mini', TWO],
	['nocomp-08', 'mini', TWO],
	['ocb-31', 'mini', TWO],
	['uncompressed-08', 'mini', TWO],
	['shortnames-08', 'mini', TWO],
	['chains-08', 'mini', ALL],
	['single-08', 'single', TWO],
	['multivol-08', 'patt', TWO],
	['resumed-08', 'patt', [0]],
	['extrafiles', 'std', ALL],
	['dmg-nomanifest', 'std', ALL],
	['dmg-nosig', 'std', ALL],
];

const box = sandbox();
Object.assign(box.env, { TZ: 'UTC', PASSPHRASE });
before(() => importKeys(box));
after(() => box.remove());

/** Its secret key alone opens it. */
const KEYS = { rsa: 'BE0139F7AD67C590', ecc: 'CEECE5A728A78B25' } as const;

/** A profile for a fixture. @returns its folder */
function profileOf(where: Sandbox, name: string, conf: string): string {
	return profile(where, name, `SOURCE='/nowhere'\nTARGET='file://${unpack(where, name)}'\n${conf}\n`);
}

describe('mounted by its URL, a collection shows every snapshot as stock restores it', () => {
	for (const [name, kind, steps] of COLLECTIONS) {
		test(name, async () => {
			const url = `file://${unpack(box, name)}`;
			const cold = await mount(box, '--target', url);
			assert.deepEqual(readdirSync(cold.at).sort(), [...steps.map(dayOf), 'latest']);
			// The newest first: what older sets hold of it is found out on the way.
			for (const step of [...steps].reverse()) assertShowsStep(cold.at, kind, step);
			await cold.umount();
			const warm = await mount(box, '--target', url);
			for (const step of steps) assertShowsStep(warm.at, kind, step);
			await warm.umount();
		});
	}
});

describe('through a profile', () => {
	const other = sandbox();
	other.env.TZ = 'UTC';
	after(() => other.remove());

	test('a collection with file prefixes is found by them', async () => {
		const prefixes =
			'--file-prefix all- --file-prefix-manifest man- --file-prefix-archive arc- --file-prefix-signature sig-';
		profileOf(other, 'prefix-08', `GPG_KEY='disabled'\nDUPL_PARAMS='${prefixes}'`);
		const mounted = await mount(other, '-p', 'prefix-08');
		assertShows(mounted, 'mini', TWO);
		await mounted.umount();
	});

	for (const [name, key, kind, steps] of [
		['pubsign-08', 'rsa', 'std', ALL],
		['ecc-08', 'ecc', 'mini', TWO],
	] as const) {
		test(`${name}: the secret key in the profile is enough`, async () => {
			const dir = profileOf(other, name, `GPG_KEY='${KEYS[key]}'\nGPG_PW='${PASSPHRASE}'`);
			copySecretKey(key, KEYS[key], dir);
			const mounted = await mount(other, '-p', name);
			assertShows(mounted, kind, steps);
			await mounted.umount();
		});
	}

	test('restore, fetch, list and status work on it as on an own one', async () => {
		for (const [name, kind, step] of [
			['prefix-08', 'mini', 1],
			['pubsign-08', 'std', 2],
		] as const) {
			const expected = expectedTree(kind, step);
			// Steps are at 22:13:20; the day alone would be its midnight.
			const time = `${dayOf(step)}T23:00:00Z`;
			const to = join(other.dir, `restored-${name}`);
			await succeed(['restore', name, to, time], other.env);
			const restored = describeTree(Buffer.from(to));
			assertSameTree(restored, expected, `${name} restored`, { symlinkTimes: false });
			const file = expected.find(({ type, size }) => type === 'file' && size > 0) as TreeEntry;
			const fetched = join(other.dir, `fetched-${name}`);
			await succeed(['fetch', name, file.path, fetched, time], other.env);
			assert.equal(describeTree(Buffer.from(fetched))[0]?.sha256, file.sha256);
			const list = await succeed(['--json', 'list', name, time], other.env);
			const paths = list.stdout.trim().split('\n').slice(0, -1);
			assert.equal(paths.length, expected.length);
			const status = await succeed(['--json', 'status', name], other.env);
			const { summary } = JSON.parse(status.stdout.trim().split('\n').at(-1) as string) as {
				summary: { chains: number; orphans: number };
			};
			assert.deepEqual([summary.chains, summary.orphans], [1, 0]);
		}
	});
});

describe('what cannot be had is said, and costs nothing else', () => {
	test('a volume that is missing: files in it, and those that build on them', async () => {
		const mounted = await mount(box, '--target', `file://${unpack(box, 'dmg-novol')}`);
		assert.match(
			mounted.stderr,
			/the target lacks duplicity-inc\.20231116T221320Z\.to\.20231117T221320Z\.vol1/,
		);
		assertLost(mounted, 3);
		await mounted.umount();
	});

	test('a volume that was missing and is back is read, encrypted or not', async () => {
		for (const name of ['sym-08', 'plain-08']) {
			const folder = join(box.dir, `back-${name}`);
			cpSync(unpack(box, name), folder, { recursive: true });
			const volume = readdirSync(folder).find((name) => name.includes('20231117T221320Z.vol1')) as string;
			renameSync(join(folder, volume), join(box.dir, volume));
			await (await mount(box, '--target', `file://${folder}`)).umount();
			renameSync(join(box.dir, volume), join(folder, volume));
			const mounted = await mount(box, '--target', `file://${folder}`);
			assertShows(mounted, 'std', ALL);
			await mounted.umount();
		}
	});

	test('a volume that is not the one of its manifest: the same', async () => {
		const mounted = await mount(box, '--target', `file://${unpack(box, 'dmg-badhash')}`);
		assertLost(mounted, 5);
		await mounted.umount();
	});

	test('one wrong byte that only the manifest tells of: nothing in the volume is shown', async () => {
		const folder = join(box.dir, 'wrong-byte');
		cpSync(unpack(box, 'uncompressed-08'), folder, { recursive: true });
		const volume = join(folder, 'duplicity-full.20231114T221320Z.vol1.difftar');
		const files = expectedTree('mini', 0).filter(({ type, size }) => type === 'file' && size > 0);
		const { path } = files[0] as TreeEntry;
		const tar = readFileSync(volume);
		const content = tar.indexOf(`snapshot/${path}`) + 512;
		tar[content] = (tar[content] as number) ^ 1;
		writeFileSync(volume, tar);
		const mounted = await mount(box, '--target', `file://${folder}`);
		for (const { path } of files) assert.ok(!isReadable(join(mounted.at, dayOf(0)), path), path);
		await mounted.umount();
	});

	test('a plain manifest that hides where a file goes on: the file is found all the same', async () => {
		// Each hides from the ranges that m.bin, of four volumes, is also in the second.
		const changes: [RegExp, string][] = [
			[/StartingPath {3}m\.bin 16/, 'StartingPath   n.bin 16'],
			[/(Volume 2:[^V]*EndingPath {5})m\.bin 30/, '$1l.bin 30'],
			[/Volume 3:.*/s, ''],
		];
		for (const [i, [what, instead]] of changes.entries()) {
			const folder = join(box.dir, `manifest-${i}`);
			cpSync(unpack(box, 'multivol-08'), folder, { recursive: true });
			const manifest = join(folder, 'duplicity-full.20231114T221320Z.manifest');
			const text = readFileSync(manifest, 'latin1');
			assert.match(text, what);
			writeFileSync(manifest, text.replace(what, instead), 'latin1');
			const mounted = await mount(box, '--target', `file://${folder}`);
			assert.match(mounted.stderr, /its path ranges contradict each other/);
			assertShows(mounted, 'patt', TWO);
			await mounted.umount();
		}
	});

	test('an interrupted run is no snapshot', async () => {
		const mounted = await mount(box, '--target', `file://${unpack(box, 'interrupted-08')}/target`);
		assert.match(mounted.stderr, /there are no backups yet/);
		assert.deepEqual(readdirSync(mounted.at), []);
		await mounted.umount();
	});

	test('a set with another passphrase: the others are shown, and it is named', async () => {
		const mounted = await mount(box, '--target', `file://${unpack(box, 'twopass-08')}`);
		assert.match(
			mounted.stderr,
			/^warning: .*the snapshot of 2023-11-15 22:13:20 cannot be shown: .*passphrase/m,
		);
		assertShows(mounted, 'mini', [0]);
		await mounted.umount();
	});

	test('a wrong passphrase, or none: nothing is mounted', async () => {
		const at = join(box.dir, 'not-mounted');
		mkdirSync(at);
		const { PASSPHRASE: _, ...without } = box.env;
		for (const env of [{ ...box.env, PASSPHRASE: 'wrong' }, without]) {
			removeCaches(box);
			const refused = await tsdup(['mount', '--target', `file://${unpack(box, 'sym-08')}`, at], { env });
			assert.equal(refused.code, 6, refused.stderr);
			assert.match(refused.stderr, /passphrase/i);
			assert.doesNotMatch(readFileSync('/proc/self/mounts', 'latin1'), new RegExp(at));
		}
	});

	test('a wrong passphrase is refused also when the index knows everything', async () => {
		const url = `file://${unpack(box, 'sym-08')}`;
		await (await mount(box, '--target', url)).umount();
		const at = join(box.dir, 'not-mounted');
		const refused = await tsdup(['mount', '--target', url, at], { env: { ...box.env, PASSPHRASE: 'wrong' } });
		assert.equal(refused.code, 6, refused.stderr);
	});

	test('no secret key: nothing is mounted, and the key is named', async () => {
		const other = sandbox();
		try {
			const at = join(other.dir, 'not-mounted');
			mkdirSync(at);
			const refused = await tsdup(['mount', '--target', `file://${unpack(box, 'pubsign-08')}`, at], other);
			assert.equal(refused.code, 6, refused.stderr);
			assert.match(refused.stderr, /4A7C79D1C9A99D0C|BE0139F7AD67C590/);
		} finally {
			other.remove();
		}
	});
});

/**
 * Of the collection whose set `lost` has no usable volume: the files that lie there are EIO, but for empty ones, whose
 * signatures say so; and later only those that build on them. Everything else is as ever.
 */
function assertLost({ at }: Mounted, lost: number): void {
	const before = new Map(expectedTree('std', lost - 1).map((entry) => [entry.path, entry]));
	const stored = expectedTree('std', lost)
		.filter(
			(entry) => entry.type === 'file' && entry.size > 0 && !isDeepStrictEqual(before.get(entry.path), entry),
		)
		.map(({ path }) => path);
	assert.ok(stored.length > 0);
	for (const step of ALL) {
		const files = expectedTree('std', step).filter(({ type }) => type === 'file');
		const unreadable = files
			.map(({ path }) => path)
			.filter((path) => !isReadable(join(at, dayOf(step)), path));
		if (step <= lost) assert.deepEqual(unreadable, step < lost ? [] : stored, `step ${step}`);
		for (const path of unreadable) assert.ok(stored.includes(path), `${path} of step ${step}`);
		assertShowsStep(at, 'std', step, unreadable);
	}
}

/** @param path one character per byte */
function isReadable(folder: string, path: string): boolean {
	try {
		readFileSync(Buffer.concat([Buffer.from(`${folder}/`), Buffer.from(path, 'latin1')]));
		return true;
	} catch (error) {
		assert.equal((error as NodeJS.ErrnoException).code, 'EIO', path);
		return false;
	}
}
