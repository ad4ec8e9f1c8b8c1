/** A source that cannot be read as it should be: each backup is still whole, and says what is not in it. */
import assert from 'node:assert/strict';
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { chmodSync, closeSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseName } from '../src/collection/names.js';
import { readFiles, roomFor } from '../src/rsync/read.js';
import { openRegular, READ_FLAGS, readMetadata } from '../src/source/source.js';
import { duplicity, profile, sandbox, tsdup, tsdupAsNobody } from './cli.js';
import { assertSameTree, describeTree, type TreeEntry } from './tree.js';

const PASSPHRASE = 'a passphrase of the bad source test';

const box = sandbox();
const target = (name: string) => join(box.dir, `target-${name}`);
const stock = { env: { ...box.env, PASSPHRASE } };

after(() => box.remove());

/** A source and a profile, both of this name. @returns the source */
function make(name: string, ...lines: string[]): string {
	const source = join(box.dir, `source-${name}`);
	profile(
		box,
		name,
		[`SOURCE='${source}'`, `TARGET='file://${target(name)}'`, `GPG_PW='${PASSPHRASE}'`, ...lines, ''].join(
			'\n',
		),
	);
	return source;
}

/** As a user who may not read everything. */
const asNobody = (args: string[]) => tsdupAsNobody(args, box);

async function listed(name: string): Promise<string[]> {
	const { code, stdout, stderr } = await tsdup(['list', name], box);
	assert.equal(code, 0, stderr);
	return stdout.trim().split('\n');
}

async function stockVerifies(name: string, ...options: string[]): Promise<void> {
	const args = ['verify', ...options, `file://${target(name)}`, join(box.dir, `source-${name}`)];
	const { code, stdout, stderr } = await duplicity(args, stock);
	assert.equal(code, 0, stdout + stderr);
}

test('an unreadable file or folder is named, the rest is backed up, and what was there before stays', async () => {
	const source = make('unreadable');
	mkdirSync(join(source, 'folder/deeper'), { recursive: true });
	mkdirSync(join(source, 'list-only'));
	for (const name of ['a', 'closed', 'folder/inside', 'folder/deeper/inside', 'list-only/inside', 'z']) {
		writeFileSync(join(source, name), `first ${name}`);
	}
	const first = await asNobody(['backup', 'unreadable']);
	assert.equal(first.code, 0, first.stderr);
	const all = await listed('unreadable');

	writeFileSync(join(source, 'closed'), 'second, longer');
	writeFileSync(join(source, 'z'), 'second z');
	chmodSync(join(source, 'closed'), 0);
	chmodSync(join(source, 'folder'), 0);
	chmodSync(join(source, 'list-only'), 0o600);
	const second = await asNobody(['backup', 'unreadable']);
	assert.equal(second.code, 3, second.stderr);
	assert.match(second.stderr, /^warning: closed cannot be read: permission denied$/m);
	assert.match(second.stderr, /^warning: folder cannot be read: permission denied$/m);
	assert.match(second.stderr, /^warning: list-only\/inside cannot be read: permission denied$/m);
	assert.match(second.stdout, /0 deleted.* 3 could not be backed up/);
	assert.deepEqual(await listed('unreadable'), all);
	const restored = join(box.dir, 'restored');
	const { code, stderr } = await tsdup(['restore', 'unreadable', restored], box);
	assert.equal(code, 0, stderr);
	const read = (name: string) => readFileSync(join(restored, name), 'utf8');
	assert.deepEqual(['closed', 'folder/deeper/inside', 'z'].map(read), [
		'first closed',
		'first folder/deeper/inside',
		'second z',
	]);

	chmodSync(join(source, 'closed'), 0o600);
	chmodSync(join(source, 'folder'), 0o700);
	chmodSync(join(source, 'list-only'), 0o700);
	const third = await asNobody(['backup', 'unreadable']);
	assert.equal(third.code, 0, third.stderr);
	await sleep(1100);
	await stockVerifies('unreadable', '--compare-data');
});

test('in a full backup, an unreadable file is named and left out', async () => {
	const source = make('left-out');
	mkdirSync(source);
	writeFileSync(join(source, 'closed'), 'secret');
	writeFileSync(join(source, 'open'), 'open');
	chmodSync(join(source, 'closed'), 0);
	const { code, stderr } = await asNobody(['backup', 'left-out']);
	assert.equal(code, 3);
	assert.match(stderr, /^warning: closed cannot be read: permission denied$/m);
	assert.deepEqual(await listed('left-out'), ['.', 'open']);
});

test('files that grow, shrink, vanish and are replaced while they are read never break a volume', async () => {
	const source = make('moving', `DUPL_PARAMS='--volsize 1'`);
	mkdirSync(source);
	const hammer = startHammer(source);
	try {
		await sleep(300);
		for (let i = 0; i < 5; i++) {
			const { code, stderr } = await tsdup(['backup', 'moving'], box);
			assert.ok(code === 0 || code === 3, stderr);
			assert.doesNotMatch(stderr, /^\s+at .*:\d+:\d+/m);
		}
	} finally {
		hammer.kill('SIGKILL');
	}
	const last = await tsdup(['backup', 'moving'], box);
	assert.equal(last.code, 0, last.stderr);
	// Runs within one second get set times ahead of the clock, and stock does not look at those yet.
	const newest = Math.max(...readdirSync(target('moving')).map((name) => parseName(name)?.time ?? 0));
	while (Date.now() / 1000 <= newest) await sleep(100);
	await stockVerifies('moving', '--compare-data');
	const status = await tsdup(['--json', 'status', 'moving'], box);
	const sets = status.stdout.split('\n').filter((line) => line.includes('"chain":'));
	assert.equal(sets.length, 6);
	for (const line of sets) {
		// Every snapshot can be restored by both, and each file is as long as its entry says.
		const time = JSON.parse(line).time as string;
		const iso = time.replace(/^(....)(..)(..T..)(..)(..Z)$/, '$1-$2-$3:$4:$5');
		const ours = join(box.dir, `ours-${time}`);
		const theirs = join(box.dir, `theirs-${time}`);
		assert.equal((await tsdup(['restore', 'moving', ours, iso], box)).code, 0);
		const { code, stderr } = await duplicity(
			['restore', '-t', iso, `file://${target('moving')}`, theirs],
			stock,
		);
		assert.equal(code, 0, stderr);
		const [a, b] = [ours, theirs].map((dir) => describeTree(Buffer.from(dir)));
		assertSameTree(a as TreeEntry[], b as TreeEntry[], time, { symlinkTimes: false });
	}
});

test('what takes the place of a file between the look at it and its opening is never followed, waited for or read', async () => {
	const dir = join(box.dir, 'between');
	mkdirSync(dir);
	const path = join(dir, 'file');
	const secret = join(dir, 'secret');
	writeFileSync(secret, 'of somebody else');
	const changes: Record<string, [script: string, code: string | null]> = {
		'a link': ['rm file; ln -s secret file', 'ELOOP'],
		'a fifo that nobody writes to': ['rm file; mkfifo file', null],
		'a folder': ['rm file; mkdir file', null],
		nothing: ['rm file', 'ENOENT'],
		'a longer file': ['echo more >>file', 'file'],
		'a shorter file': ['truncate -s 5 file', 'file'],
		'an empty file': ['truncate -s 0 file', 'file'],
	};
	for (const [what, [script, outcome]] of Object.entries(changes)) {
		rmSync(path, { recursive: true, force: true });
		writeFileSync(path, 'what was there first');
		const seen = readMetadata(Buffer.from(path));
		assert.ok(seen);
		execFileSync('sh', ['-ec', script], { cwd: dir });
		const { size, mtime, mtimeNs, mode, uid, gid } = seen;
		const facts = { path: Buffer.from(path), size, mtime, mtimeNs: mtimeNs ?? 0, mode, uid, gid };
		const [read] = await readFiles([facts], Buffer.alloc(roomFor(size)), READ_FLAGS);
		assert.equal(read, null, what);
		const open = () => openRegular(Buffer.from(path));
		if (outcome === null) assert.equal(open(), null, what);
		else if (outcome !== 'file') assert.throws(open, { code: outcome }, what);
		else {
			const file = open();
			assert.ok(file && file.metadata.size !== size && file.metadata.stamp !== seen.stamp, what);
			closeSync(file.fd);
		}
	}
});

test('a source that is missing, or is no folder: an error, and no backup', async () => {
	const source = make('missing');
	for (const prepare of [() => {}, () => writeFileSync(source, 'a file')]) {
		prepare();
		const { code, stderr } = await tsdup(['backup', 'missing'], box);
		assert.equal(code, 1, stderr);
		assert.match(
			stderr,
			/The source .*source-missing cannot be read: it is not (there|a folder)\. Nothing was backed up/,
		);
		assert.deepEqual(readdirSync(target('missing')), []);
	}
	rmSync(source);
	mkdirSync(source);
	writeFileSync(join(source, 'file'), 'x');
	assert.equal((await tsdup(['backup', 'missing'], box)).code, 0);
	const before = readdirSync(target('missing'));
	rmSync(source, { recursive: true });
	assert.equal((await tsdup(['backup', 'missing'], box)).code, 1);
	assert.deepEqual(readdirSync(target('missing')), before);
});

test('an empty folder is a source like any other', async () => {
	mkdirSync(make('empty'));
	for (let i = 0; i < 2; i++) {
		const { code, stderr } = await tsdup(['backup', 'empty'], box);
		assert.equal(code, 0, stderr);
	}
	assert.deepEqual(await listed('empty'), ['.']);
	await sleep(1100);
	await stockVerifies('empty', '--compare-data');
});

/**
 * A process that makes, rewrites, appends to, truncates, removes and replaces files in `dir`, as fast as it can. Links lead to a file
 * beside it, because what is written through them arrives there.
 */
function startHammer(dir: string): ChildProcess {
	const script = `
		const fs = require('node:fs');
		const { execFileSync } = require('node:child_process');
		const path = (i) => ${JSON.stringify(dir)} + '/file-' + i;
		const bytes = require('node:crypto').randomBytes(3_000_000);
		for (let n = 0; ; n++) {
			const i = n % 12;
			const act = Math.floor(Math.random() * 8);
			const size = Math.floor(Math.random() * (i < 3 ? 3_000_000 : 50_000));
			try {
				if (act === 0) fs.rmSync(path(i), { recursive: true });
				else if (act === 1) fs.truncateSync(path(i), Math.floor(size / 2));
				else if (act === 2) fs.appendFileSync(path(i), bytes.subarray(0, size));
				else if (act === 3) { fs.rmSync(path(i), { recursive: true, force: true }); fs.mkdirSync(path(i)); }
				else if (act === 4) { fs.rmSync(path(i), { recursive: true, force: true }); fs.symlinkSync('../outside', path(i)); }
				else if (act === 5) { fs.rmSync(path(i), { recursive: true, force: true }); execFileSync('mkfifo', [path(i)]); }
				else if (act === 6) {
					fs.rmSync(path(i), { recursive: true, force: true });
					fs.mkdirSync(path(i) + '/deep/er', { recursive: true });
					for (const name of ['/a', '/deep/b', '/deep/er/c']) fs.writeFileSync(path(i) + name, bytes.subarray(0, size));
				}
				else fs.writeFileSync(path(i), bytes.subarray(0, size));
			} catch {}
		}`;
	return spawn(process.execPath, ['-e', script], { stdio: 'ignore' });
}
