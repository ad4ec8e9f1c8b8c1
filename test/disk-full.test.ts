/**
 * The disk that the cache is on is full: a backup completes, or ends with its cause named, and once there is room the next run
 * puts all in order. Mounts small file systems, so as root only.
 */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import {
	appendFileSync,
	closeSync,
	fstatSync,
	ftruncateSync,
	mkdirSync,
	openSync,
	readFileSync,
	rmSync,
	writeFileSync,
	writeSync,
} from 'node:fs';
import { join } from 'node:path';
import { after, describe, test } from 'node:test';
import { duplicity, profile, sandbox, tsdup } from './cli.js';
import { mount } from './fixtures.js';
import { SourceTree } from './source-tree.js';

const PASSPHRASE = 'a passphrase of the disk-full test';

/** Room for the cache in KiB, from none for an empty index to enough for all but the import of the set; and what comes of it. */
const CASES = [
	{
		room: 100,
		exit: 1,
		says: /^tsdup: The disk that the cache is on is full: make room, or have the cache elsewhere/m,
	},
	{
		room: 400,
		exit: 3,
		says: /The backup is complete, but the disk that the cache is on is full: the index takes it in/,
	},
	{
		room: 1200,
		exit: 3,
		says: /The backup is complete, but the disk that the cache is on is full: the index takes it in/,
	},
	{ room: 6000, exit: 0, says: /^$/ },
];

describe('a cache on a disk of', { skip: process.getuid?.() !== 0 }, () => {
	for (const { room, exit, says } of CASES) {
		test(`${room} KiB`, async () => {
			const box = sandbox();
			const source = join(box.dir, 'source');
			const target = join(box.dir, 'target');
			const cache = box.env.XDG_CACHE_HOME as string;
			after(() => {
				execFileSync('umount', [cache]);
				box.remove();
			});
			execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${room}k`, 'tmpfs', cache]);
			profile(box, 'p', `SOURCE='${source}'\nTARGET='file://${target}'\nGPG_PW='${PASSPHRASE}'\n`);
			mkdirSync(source);
			for (let i = 0; i < 6000; i++) writeFileSync(join(source, `file-${i}`), randomBytes(40));

			const full = await tsdup(['backup', 'p'], box);
			assert.equal(full.code, exit, full.stderr);
			assert.match(full.stderr, says);
			assert.doesNotMatch(full.stderr, /^\s+at .*:\d+:\d+/m);

			execFileSync('mount', ['-o', 'remount,size=40M', cache]);
			const next = await tsdup(['backup', 'p'], box);
			assert.equal(next.code, 0, next.stderr);
			const env = { ...box.env, PASSPHRASE };
			const verified = await duplicity(['verify', '--compare-data', `file://${target}`, source], { env });
			assert.equal(verified.code, 0, verified.stdout + verified.stderr);
			const status = await tsdup(['--json', 'status', 'p'], box);
			const { summary } = JSON.parse(status.stdout.trim().split('\n').at(-1) as string);
			assert.deepEqual([summary.orphans, summary.sets], [0, exit === 1 ? 1 : 2]);
			assert.equal(execFileSync('find', [cache, '-path', '*/pending/*']).toString(), '');
		});
	}
});

test('a mount of what duplicity wrote says what it has no room for, is right in all else, and goes on when there is room', {
	skip: process.getuid?.() !== 0,
}, async () => {
	const box = sandbox();
	const cache = box.env.XDG_CACHE_HOME as string;
	after(() => {
		execFileSync('umount', [cache]);
		box.remove();
	});
	execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=40M', 'tmpfs', cache]);
	const root = join(box.dir, 'source');
	const target = `file://${box.dir}/target`;
	const withKey = { ...box, env: { ...box.env, PASSPHRASE } };
	const tree = new SourceTree(root, 1_600_000_000);
	for (let i = 0; i < 5000; i++) tree.write(`many/${i}`, Buffer.from(`file ${i}`));
	tree.write('a/changed', tree.noise(1_000_000));
	tree.setTimes();
	const backUp = async (kind: string, time: number) => {
		const args = [kind, '--volsize', '1', '--current-time', String(time), root, target];
		const { code, stderr } = await duplicity(args, withKey);
		assert.equal(code, 0, stderr);
	};
	await backUp('full', 1_700_000_000);
	tree.time += 86_400;
	tree.overwrite('a/changed', 500, tree.noise(10));
	tree.setTimes();
	await backUp('incremental', 1_700_086_400);
	const filler = join(cache, 'filler');

	const reads = (at: string, path: string) => {
		const inMount = join(at, 'latest', path);
		assert.deepEqual(readFileSync(inMount), readFileSync(join(root, path)), path);
	};
	const first = await mount(withKey, '--target', target);
	await first.umount();
	// SQLite has room to read, but not for what is to be noted of so many files; the log has its block already.
	const log = join(cache, 'tsdup/mount.log');
	appendFileSync(log, '\n');
	fill(filler, 256 << 10);
	const mounted = await mount(withKey, '--target', target);
	try {
		assert.throws(() => reads(mounted.at, 'many/7'), { code: 'EIO' });
		assert.match(
			readFileSync(log, 'utf8'),
			/7 of .* cannot be read: The disk that the cache is on is full: make room/,
		);
		rmSync(filler);
		reads(mounted.at, 'many/7');
		// Its volumes are known after this, but not what its delta makes of it.
		readFileSync(join(mounted.at, '2023-11-14/a/changed'));
		execFileSync('stat', [join(mounted.at, 'latest/a/changed')]);
		fill(filler, 0);
		reads(mounted.at, 'a/changed');
		rmSync(filler);
		reads(mounted.at, 'many/4999');
	} finally {
		rmSync(filler, { force: true });
		await mounted.umount();
	}
});

/** Takes all room on the disk but `left` bytes. */
function fill(path: string, left: number): void {
	const file = openSync(path, 'w');
	try {
		for (;;) writeSync(file, Buffer.alloc(4096));
	} catch (error) {
		assert.equal((error as NodeJS.ErrnoException).code, 'ENOSPC');
	} finally {
		ftruncateSync(file, Math.max(0, fstatSync(file).size - left));
		closeSync(file);
	}
}
