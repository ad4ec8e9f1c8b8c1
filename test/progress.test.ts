/** What a person sees while a backup runs: a line of progress on a terminal, nothing of it anywhere else. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { type Ended, ended, profile, sandbox, tsdup } from './cli.js';
import { removeCaches } from './fixtures.js';
import { type Radosgw, startRadosgw } from './radosgw.js';

const MAIN = fileURLToPath(new URL('./tsdup.js', import.meta.url));
const ESCAPE = '\x1b';
const WIPE = `\r${ESCAPE}[K`;
/** Uploads take about four seconds. */
const SLOW = ['--full', '--limit-upload', '1M'];

const box = sandbox();
const source = join(box.dir, 'source');
let server: Radosgw;

before(async () => {
	server = await startRadosgw();
	await server.createBucket('progress');
	mkdirSync(join(source, 'folder'), { recursive: true });
	for (let i = 0; i < 8; i++) writeFileSync(join(source, `folder/file-${i}`), randomBytes(500_000));
	writeFileSync(join(source, 'folder/\x1b[31mred'), 'a name that would move the cursor');
	const { accessKeyId, secretAccessKey, endpoint } = server;
	profile(
		box,
		'p',
		`SOURCE='${source}'\nTARGET='s3:///progress/p'\nTARGET_USER='${accessKeyId}'\nTARGET_PASS='${secretAccessKey}'\nGPG_PW='a passphrase'\nDUPL_PARAMS='--volsize 1 --s3-endpoint-url ${endpoint}'\n`,
	);
	const { code, stdout, stderr } = await tsdup(['backup', 'p'], box);
	assert.equal(code, 0, stderr);
	assert.match(stdout, /^Full backup of .* is complete/);
});
after(async () => {
	box.remove();
	await server.stop();
});

/** On a terminal 160 characters wide, of which stdout holds all. */
function onTerminal(...args: string[]): Promise<Ended> {
	const words = [process.execPath, MAIN, ...args].map((word) => `'${word}'`).join(' ');
	const command = `stty cols 160; exec ${words}`;
	const child = spawn('script', ['-qefc', command, '/dev/null'], {
		env: { ...box.env, TERM: 'xterm' },
		stdio: ['ignore', 'pipe', 'pipe'],
	});
	return ended(child);
}

test('a terminal shows bar, bytes, rate, time left and path on one line, which is gone in the end', async () => {
	const { code, stdout } = await onTerminal('backup', 'p', ...SLOW);
	assert.equal(code, 0, stdout);
	const pieces = stdout.split(WIPE);
	const last = pieces.pop() as string;
	// Nothing of the line is left before the summary, and nothing follows it.
	assert.match(last, /^Full backup of .* is complete, in .*\r\n$/);
	assert.ok(!last.includes(ESCAPE));
	const lines = pieces.filter((piece) => piece !== '');
	assert.ok(lines.length > 10, `${lines.length} lines`);
	for (const line of lines) {
		assert.match(
			line,
			/^(\[#*\.*\] \d+ % {2})?\d+ entries {2}[\d.]+ k?M?B read {2}[\d.]+ k?M?B stored {2}[\d.]+ k?M?B\/s {2}/,
		);
		assert.ok(line.length < 160 && !line.includes('\n') && !line.includes(ESCAPE), JSON.stringify(line));
	}
	assert.ok(
		lines.some((line) => /^\[#+\.+\] \d+ % .* {2}\d+:\d\d left {2}folder\/file-\d$/.test(line)),
		lines.at(-1),
	);
});

test('a run that ends with an error wipes it, too', async () => {
	profile(
		box,
		'refused',
		`SOURCE='${source}'\nTARGET='s3:///progress/q'\nTARGET_USER='${server.accessKeyId}'\nTARGET_PASS='wrong'\nGPG_PW='a passphrase'\nDUPL_PARAMS='--s3-endpoint-url ${server.endpoint}'\n`,
	);
	const { code, stdout } = await onTerminal('backup', 'refused');
	assert.equal(code, 7);
	assert.ok(stdout.includes(`${WIPE}tsdup: Cannot list`), stdout);
});

test('where stderr is no terminal, or the output is quiet or JSON, nothing of it is seen', async () => {
	const { code, stdout, stderr } = await tsdup(['backup', 'p', ...SLOW], box);
	assert.equal(code, 0);
	assert.equal(stderr, '');
	assert.match(stdout, /^Full backup of .* is complete, in .*\n$/);
	const json = await onTerminal('--json', 'backup', 'p');
	assert.ok(!json.stdout.includes('\x1b'), json.stdout);
	assert.equal((await onTerminal('-q', 'backup', 'p')).stdout, '');
});

test('who opens a collection that is new to this machine sees how far it is', async () => {
	const mountpoint = join(box.dir, 'mnt');
	mkdirSync(mountpoint);
	for (const [args, name, summary] of [
		[['mount', '-p', 'p', mountpoint], ' {2}p', /^Mounted at /],
		[['status', 'p'], '', /^/],
	] as const) {
		removeCaches(box);
		const { code, stdout } = await onTerminal(...args);
		assert.equal(code, 0, stdout);
		const pieces = stdout.split(WIPE).filter((piece) => piece !== '');
		assert.match(pieces.shift() ?? '', new RegExp(`^0 of [2-9] new snapshots read${name}$`));
		assert.match(pieces.pop() ?? '', summary);
		for (const piece of pieces) assert.match(piece, /^\d of [2-9] new snapshots read/);
	}
	assert.equal((await tsdup(['umount', mountpoint], box)).code, 0);
});
