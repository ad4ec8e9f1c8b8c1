/**
 * The disk that the cache is on is full: a backup completes, or ends with its cause named, and once there is room the next run
 * puts all in order. Mounts small file systems, so as root only.
 */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, describe, test } from 'node:test';
import { duplicity, profile, sandbox, tsdup } from './cli.js';

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
