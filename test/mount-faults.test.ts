/** A mount over a network that is slow, fails now and then, or is away, read by many at once. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import {
	existsSync,
	mkdirSync,
	readdirSync,
	readFileSync,
	readlinkSync,
	renameSync,
	rmSync,
	writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { profile, sandbox, tsdup } from './cli.js';
import { startRadosgw } from './radosgw.js';
import { byChance, type FaultOf, type S3Proxy, startS3Proxy } from './s3-proxy.js';
import { bytesFrom } from './seeded.js';

const run = promisify(execFile);
const READER = fileURLToPath(new URL('../../test/random-reader.py', import.meta.url));

const DRIVER = process.env.MOUNT_DRIVER ?? 'fuse3';
const PROCESSES = 32;
/** In a normal test run few; TSDUP_TESTS=all takes a minute. */
const SECONDS = process.env.TSDUP_TESTS === 'all' ? 60 : 10;
/** More than the mount keeps in memory, 64 MiB. */
const FILES = 48;

const box = sandbox();
const source = join(box.dir, 'source');
const at = join(box.dir, 'mnt');
const latest = join(at, 'latest/many');
const cache = join(box.env.XDG_CACHE_HOME as string, 'tsdup/collections');
let proxy: S3Proxy;
let fault: FaultOf = () => undefined;
let asked = 0;
let dropped = 0;

before(async () => {
	mkdirSync(join(source, 'many'), { recursive: true });
	mkdirSync(at);
	for (let i = 0; i < FILES; i++) writeFileSync(join(source, `many/${i}`), bytesFrom(`file ${i}`, 2_345_678));
	const server = await startRadosgw();
	const { bucket } = await server.createBucket('mount-faults');
	proxy = await startS3Proxy(server.endpoint, (request) => {
		asked++;
		return fault(request);
	});
	profile(
		box,
		'p',
		`SOURCE='${source}'\nTARGET='s3:///${bucket}/p'\nTARGET_USER='${server.accessKeyId}'\nTARGET_PASS='${server.secretAccessKey}'\n` +
			`GPG_PW='a passphrase of the faults test'\nDUPL_PARAMS="--s3-endpoint-url ${proxy.endpoint} --volsize 20"\n`,
	);
	await ok(['backup', 'p']);
	await ok(['mount', '--driver', DRIVER, '-p', 'p', at]);
});

after(async () => {
	fault = () => undefined;
	await tsdup(['umount', at], box);
	proxy.stop();
	await (await startRadosgw()).stop();
	box.remove();
});

async function ok(args: string[]): Promise<void> {
	const { code, stderr } = await tsdup(args, box);
	assert.equal(code, 0, stderr);
}

function holder(): number {
	const dir = join(box.env.XDG_CACHE_HOME as string, 'tsdup/mounts');
	return JSON.parse(readFileSync(join(dir, readdirSync(dir)[0] as string), 'utf8')).pid;
}

/** Of the mount's process: descriptors that are no connections, and bytes of memory. */
function used(): { files: number; memory: number } {
	const fds = `/proc/${holder()}/fd`;
	const targets = readdirSync(fds).map((fd) => {
		try {
			return readlinkSync(join(fds, fd));
		} catch {
			return 'socket:';
		}
	});
	const status = readFileSync(`/proc/${holder()}/status`, 'utf8');
	return {
		files: targets.filter((target) => !target.startsWith('socket:')).length,
		memory: Number(/^VmRSS:\s+(\d+) kB$/m.exec(status)?.[1]) * 1024,
	};
}

/** All that was read, but for what is in the process's memory. */
function dropFrames(): void {
	for (const id of readdirSync(cache)) {
		const frames = join(cache, id, 'frames');
		if (!existsSync(frames)) continue;
		// At once: somebody is writing there.
		const aside = `${frames}.${dropped++}`;
		renameSync(frames, aside);
		rmSync(aside, { recursive: true });
	}
}

/** @returns how many reads were right, and how many ended with EIO */
async function readAtRandom(seed: number): Promise<{ right: number; failed: number }> {
	const readers = Array.from({ length: PROCESSES }, (_, i) =>
		run('/usr/bin/python3', [READER, latest, join(source, 'many'), String(seed + i), String(SECONDS)]),
	);
	const all = Promise.all(readers);
	let ended = false;
	const dropping = (async () => {
		for (; !ended; await sleep(700)) dropFrames();
	})();
	const results = await all.finally(() => {
		ended = true;
	});
	await dropping;
	const sums = [0, 0, 0];
	for (const { stdout } of results)
		for (const [i, count] of stdout.trim().split(' ').entries()) sums[i] = (sums[i] ?? 0) + Number(count);
	const [right = 0, failed = 0, wrong] = sums;
	assert.equal(wrong, 0);
	return { right, failed };
}

test('32 processes read at random over a network that is slow and fails now and then, while the cache is deleted again and again: no wrong byte, nothing hangs, nothing leaks', async () => {
	fault = byChance(20_101_004, 0.3, [
		{ delay: 100 },
		{ delay: 400 },
		{ cutAfter: 0 },
		{ cutAfter: 100_000 },
		{ refuse: { status: 503, code: 'SlowDown' } },
		{ refuse: { status: 500, code: 'InternalError' } },
		{ shorten: 1000 },
		{ flip: 50_000 },
	]);
	await readAtRandom(0);
	const before = used();
	const askedBefore = asked;
	const { right, failed } = await readAtRandom(1000);
	fault = () => undefined;
	assert.ok(asked - askedBefore > 50, `${asked - askedBefore} requests`);
	assert.ok(right > 100 && failed * 20 < right, `${right} right, ${failed} failed`);
	const now = used();
	assert.ok(now.files <= before.files + 3, `${before.files} files, then ${now.files}`);
	assert.ok(now.memory < before.memory + 120 * 2 ** 20, `${before.memory} bytes, then ${now.memory}`);
	await run('diff', ['-r', latest, join(source, 'many')]);
});

test('while the storage is away, what was read can be read, ls, df and umount wait for nothing, and the rest comes back by itself', async () => {
	await ok(['umount', at]);
	await ok(['mount', '--driver', DRIVER, '-p', 'p', at]);
	await run('cmp', [join(latest, '1'), join(source, 'many/1')]);
	dropFrames();
	await run('cmp', [join(latest, '2'), join(source, 'many/2')]);
	fault = () => ({ stall: true });
	let isReading = true;
	// Far from the others, so that it was not read ahead.
	const reader = run('cmp', [join(latest, '40'), join(source, 'many/40')])
		.catch(() => undefined)
		.finally(() => {
			isReading = false;
		});
	for (const name of ['1', '2']) await run('cmp', [join(latest, name), join(source, 'many', name)]);
	await run('ls', ['-lR', at]);
	await run('df', [at]);
	assert.ok(isReading, 'who wants what is away waits');
	fault = () => undefined;
	await reader;
	await run('cmp', [join(latest, '40'), join(source, 'many/40')]);
	await run('cmp', [join(latest, '42'), join(source, 'many/42')]);
	fault = () => ({ stall: true });
	await ok(['umount', at]);
	fault = () => undefined;
	await ok(['mount', '--driver', DRIVER, '-p', 'p', at]);
});
