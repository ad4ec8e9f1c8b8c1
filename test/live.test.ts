/** A mount follows its collections: what is shown while backups are made and go, here and on other machines. */
import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import {
	closeSync,
	existsSync,
	mkdirSync,
	openSync,
	readdirSync,
	readFileSync,
	readSync,
	renameSync,
	rmSync,
	statSync,
	writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { SnapshotFileSystem } from '../src/mount/filesystem.js';
import { Live } from '../src/mount/live.js';
import { type Ended, profile, sandbox, tsdup } from './cli.js';
import { until as waitUntil } from './until.js';

const PASSPHRASE = 'a passphrase of the live test';
const IS_FUSE_3 = process.env.MOUNT_DRIVER !== 'fuse-native';
const DRIVER = IS_FUSE_3 ? 'fuse3' : 'fuse-native';

const box = sandbox();
/** Another machine: it has the profiles, not the index. */
const elsewhere = { ...box.env, XDG_CACHE_HOME: join(box.dir, 'cache-elsewhere') };
const source = join(box.dir, 'source');
const at = join(box.dir, 'mnt');
/** Not compressible: each version has its own bytes. */
const version = (n: number) => Buffer.from(`version ${n} `.repeat(20_000));

const target = (name: string) => join(box.dir, `target-${name}`);
const read = (path: string) => execFileSync('cat', [path], { maxBuffer: 2 ** 26 });
const names = (folder: string) =>
	execFileSync('ls', ['-A', folder]).toString().trim().split('\n').filter(Boolean);
const log = () => readFileSync(join(box.env.XDG_CACHE_HOME as string, 'tsdup/mount.log'), 'utf8');
const inode = (path: string) => execFileSync('stat', ['-c', '%i', path]).toString().trim();

async function ok(args: string[], env = box.env): Promise<Ended> {
	const run = await tsdup(args, { env });
	assert.equal(run.code, 0, run.stderr);
	return run;
}

/** Whatever the machine is busy with; the kernel trusts names for ten seconds where nobody tells it that they changed. */
function until(what: () => boolean, seconds = 60): Promise<void> {
	return waitUntil(what, seconds, () => `${what}\n${existsSync(at) ? names(at) : ''}\n${log()}`);
}

function holder(): number {
	const dir = join(box.env.XDG_CACHE_HOME as string, 'tsdup/mounts');
	return JSON.parse(readFileSync(join(dir, readdirSync(dir)[0] as string), 'utf8')).pid;
}

const hup = () => process.kill(holder(), 'SIGHUP');

const segments = (name: string) => readdirSync(target(name)).filter((object) => object.includes('segment'));

let versions = 0;
/** The source's file becomes another one, and is backed up. @returns the version */
async function backup(name: string, env: NodeJS.ProcessEnv, ...options: string[]): Promise<number> {
	writeFileSync(join(source, 'file'), version(++versions));
	writeFileSync(join(source, 'small'), `small ${versions}`);
	await ok(['backup', ...options, name], env);
	return versions;
}

before(() => {
	for (const folder of [at, source]) mkdirSync(folder);
	for (const name of ['a', 'b'])
		profile(box, name, `SOURCE='${source}'\nTARGET='file://${target(name)}'\nGPG_PW='${PASSPHRASE}'\n`);
});

after(() => box.remove());

describe('a mount of one profile', () => {
	before(async () => {
		await backup('a', box.env);
		await ok(['mount', '--driver', DRIVER, '-p', 'a', at]);
	});
	after(() => ok(['umount', at]));

	test('shows a backup of this machine without asking the target, and `latest` follows', async () => {
		assert.ok(read(join(at, 'latest/file')).equals(version(1)));
		await backup('a', box.env);
		await until(() => read(join(at, 'latest/file')).equals(version(2)));
	});

	test('shows a backup of another machine when SIGHUP asks for it, and what is open stays what it is', async () => {
		const file = openSync(join(at, 'latest/file'), 'r');
		const former = read(join(at, 'latest/small'));
		const shown = names(at).length;
		const made = await backup('a', elsewhere);
		assert.equal(names(at).length, shown);
		hup();
		await until(() => names(at).length > shown);
		await until(() => read(join(at, 'latest/file')).equals(version(made)));
		assert.equal(read(join(at, 'latest/small')).toString(), `small ${made}`);
		assert.notDeepEqual(former, read(join(at, 'latest/small')));
		const bytes = Buffer.alloc(version(made - 1).length);
		assert.equal(readSync(file, bytes, 0, bytes.length, 0), bytes.length);
		assert.ok(bytes.equals(version(made - 1)));
		closeSync(file);
	});

	test('goes on showing what it showed, with the same inodes, when a later set has gone', async () => {
		const [first] = names(at).filter((name) => name.includes('_'));
		const kept = join(at, first as string);
		const numbers = ['', 'file', 'small'].map((name) => inode(join(kept, name)));
		const before = new Set(readdirSync(target('a')));
		const made = await backup('a', elsewhere);
		hup();
		await until(() => read(join(at, 'latest/small')).equals(Buffer.from(`small ${made}`)));
		const gone = names(at).at(-2) as string;
		const file = openSync(join(at, gone, 'small'), 'r');
		assert.equal(readSync(file, Buffer.alloc(20), 0, 20, 0), 7);
		for (const name of readdirSync(target('a'))) if (!before.has(name)) rmSync(join(target('a'), name));
		hup();
		await until(() => !names(at).includes(gone));
		await until(() => spawnSync('stat', [join(at, gone)]).status !== 0);
		await until(() => read(join(at, 'latest/small')).equals(Buffer.from(`small ${made - 1}`)));
		assert.ok(read(join(kept, 'file')).equals(version(1)));
		if (IS_FUSE_3)
			assert.deepEqual(
				['', 'file', 'small'].map((name) => inode(join(kept, name))),
				numbers,
			);
		// What the kernel or the cache has can still be read; the other driver asks for the path again.
		if (IS_FUSE_3) assert.equal(readSync(file, Buffer.alloc(20), 0, 20, 0), 7);
		closeSync(file);
	});

	test('a set that takes the place of one that has gone shows its own content', async () => {
		const made = await backup('a', elsewhere);
		hup();
		await until(() => read(join(at, 'latest/small')).equals(Buffer.from(`small ${made}`)));
		assert.ok(read(join(at, 'latest/file')).equals(version(made)));
	});

	test('lists at once while the target is away, says so in the log, and recovers by itself', async () => {
		const shown = names(at);
		renameSync(target('a'), `${target('a')}-away`);
		hup();
		await until(() => /a: cannot look for new snapshots: .*target-a/.test(log()));
		assert.deepEqual(names(at), shown);
		renameSync(`${target('a')}-away`, target('a'));
		const made = await backup('a', elsewhere);
		hup();
		await until(() => read(join(at, 'latest/small')).equals(Buffer.from(`small ${made}`)));
	});

	test('an index that is built again, or deleted, is followed; what is open stays what it is', async () => {
		const made = versions;
		const file = openSync(join(at, 'latest/file'), 'r');
		await ok(['index', 'rebuild', 'a']);
		hup();
		for (const next of [made + 1, made + 2]) {
			await backup('a', elsewhere);
			hup();
			await until(() => {
				const { stdout } = spawnSync('cat', [join(at, 'latest/file')], { maxBuffer: 2 ** 26 });
				return stdout.equals(version(next));
			});
			rmSync(join(box.env.XDG_CACHE_HOME as string, 'tsdup/collections'), { recursive: true });
		}
		const bytes = Buffer.alloc(version(made).length);
		readSync(file, bytes, 0, bytes.length, 0);
		assert.ok(bytes.equals(version(made)));
		closeSync(file);
	});
});

test('with several profiles each is followed', async () => {
	await backup('b', elsewhere, '--full');
	await ok(['mount', '--driver', DRIVER, '-p', 'a', '-p', 'b', at]);
	assert.deepEqual(names(at), ['a', 'b']);
	const shown = names(join(at, 'a'));
	const made = await backup('b', elsewhere);
	hup();
	await until(() => read(join(at, 'b/latest/small')).equals(Buffer.from(`small ${made}`)));
	assert.deepEqual(names(join(at, 'a')), shown);
	await ok(['umount', at]);
});

test('a collection without backups becomes one with', async () => {
	profile(box, 'c', `SOURCE='${source}'\nTARGET='file://${target('c')}'\nGPG_PW='${PASSPHRASE}'\n`);
	mkdirSync(target('c'));
	await ok(['mount', '--driver', DRIVER, '-p', 'c', at]);
	assert.deepEqual(names(at), []);
	const made = await backup('c', elsewhere);
	hup();
	await until(() => names(at).length === 2);
	assert.equal(read(join(at, 'latest/small')).toString(), `small ${made}`);
	await ok(['umount', at]);
	assert.ok(statSync(at).isDirectory());
});

describe('looks at the target', () => {
	/** How often a target without sets is listed when somebody looks at the root `looks` times, 10 ms apart. */
	async function listings(interval: number, looks: number): Promise<number> {
		let count = 0;
		let running = 0;
		const fs = new SnapshotFileSystem([], { log: () => {} });
		const collection = {
			name: 'counted',
			listing: async () => {
				count++;
				assert.equal(++running, 1, 'one at a time');
				await sleep(30);
				running--;
				return 'the same';
			},
			update: () => assert.fail('nothing has changed'),
			reopened: () => null,
		};
		const live = new Live(fs, [collection], ['the same'], { interval, log: assert.fail });
		for (let i = 0; i < looks; i++) {
			live.look();
			await sleep(10);
		}
		await live.now();
		return count - 1;
	}

	test('are made when somebody looks at the mount, at most once in an interval', async () => {
		const begun = performance.now();
		const count = await listings(200, 50);
		assert.ok(count >= 1 && count <= (performance.now() - begun) / 200, String(count));
		assert.equal(await listings(60_000, 20), 0);
	});
});

test('a set that was listed before its segment came is taken in again when it has come, once', async () => {
	profile(box, 'late', `SOURCE='${source}'\nTARGET='file://${target('late')}'\nGPG_PW='${PASSPHRASE}'\n`);
	await backup('late', elsewhere);
	const made = await backup('late', elsewhere);
	const [, segment] = segments('late').sort() as [string, string];
	const aside = join(box.dir, segment);
	renameSync(join(target('late'), segment), aside);
	const env = { ...box.env, TSDUP_TRACE: join(box.dir, 'trace') };
	const whole = async () => {
		rmSync(env.TSDUP_TRACE, { force: true });
		await ok(['mount', '--driver', DRIVER, '-p', 'late', at], env);
		assert.ok(read(join(at, 'latest/file')).equals(version(made)));
		await ok(['umount', at], env);
		const lines = readFileSync(env.TSDUP_TRACE, 'utf8').split('\n').filter(Boolean);
		return lines
			.map((line) => JSON.parse(line))
			.filter(({ op }) => op === 'stream')
			.map(({ name }) => name);
	};
	assert.ok(
		(await whole()).some((name) => /inc.*vol1/.test(name)),
		'as duplicity’s: its volume is fetched whole',
	);
	renameSync(aside, join(target('late'), segment));
	assert.deepEqual(await whole(), [segment], 'as tsdup’s');
	assert.deepEqual(await whole(), []);
});
