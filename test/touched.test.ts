/**
 * Changes that leave time and size as they were are in the next backup all the same; and what only looks changed, because it was
 * copied or restored, is read once and not stored again.
 */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { assertSameToRsync } from './attributes.js';
import { duplicity, profile, sandbox, tsdup } from './cli.js';
import { assertSameTree, describeTree } from './tree.js';

const PASSPHRASE = 'a passphrase of the touched test';
const box = sandbox();
const source = join(box.dir, 'source');
const target = join(box.dir, 'target');
const FILES = 40;
/** Files, the folder, and the root. */
const ENTRIES = FILES + 3;

interface Summary {
	entries: number;
	newEntries: number;
	changedEntries: number;
	deletedEntries: number;
	bytesRead: number;
}

function shell(script: string): void {
	execFileSync('bash', ['-ec', script], { cwd: source });
}

/** Overwrites bytes in the middle and puts the time back, to the nanosecond. */
function edit(name: string, at: number): void {
	shell(`touch -r ${name} ../time
		printf edited | dd of=${name} bs=1 seek=${at} conv=notrunc status=none
		touch -r ../time ${name}`);
}

async function backup(...options: string[]): Promise<Summary> {
	const { code, stdout, stderr } = await tsdup(['--json', 'backup', 'p', ...options], { env: box.env });
	assert.equal(code, 0, stderr);
	return JSON.parse(stdout.trim().split('\n').at(-1) as string).summary;
}

/** @returns the number of entries that are stored as changed; none is new or deleted */
async function changed(...options: string[]): Promise<number> {
	const { entries, newEntries, changedEntries, deletedEntries } = await backup(...options);
	assert.deepEqual([entries, newEntries, deletedEntries], [ENTRIES, 0, 0]);
	return changedEntries;
}

/** Stock finds no difference, and tsdup restores all of the source with its attributes. */
async function isRight(): Promise<void> {
	const env = { ...box.env, PASSPHRASE };
	// Backups that take less than a second run ahead of the clock, and stock looks at none of the future.
	const time = String(Math.ceil(Date.now() / 1000) + 60);
	const args = ['verify', '--compare-data', '--time', time, `file://${target}`, source];
	const verified = await duplicity(args, { env });
	assert.equal(verified.code, 0, verified.stdout + verified.stderr);
	const to = join(box.dir, 'restored');
	const { code, stderr } = await tsdup(['restore', 'p', to], { env });
	assert.equal(code, 0, stderr);
	assertSameTree(describeTree(Buffer.from(to)), describeTree(Buffer.from(source)), 'restored');
	assertSameToRsync(source, to);
	rmSync(to, { recursive: true });
}

before(async () => {
	profile(box, 'p', `SOURCE='${source}'\nTARGET='file://${target}'\nGPG_PW='${PASSPHRASE}'\n`);
	mkdirSync(join(source, 'folder'), { recursive: true });
	for (let i = 0; i < FILES; i++) writeFileSync(join(source, 'folder', `file-${i}`), randomBytes(50 * i));
	writeFileSync(join(source, 'database'), randomBytes(5_000_000));
	assert.equal((await backup()).newEntries, ENTRIES);
});
after(() => box.remove());

test('nothing is read when nothing was touched', async () => {
	const { changedEntries, bytesRead } = await backup();
	assert.deepEqual([changedEntries, bytesRead], [0, 0]);
});

test('an edit that puts the time back and keeps the size is stored', async () => {
	edit('folder/file-7', 100);
	edit('database', 2_600_000);
	assert.equal(await changed(), 2);
	assert.equal(await changed(), 0);
	await isRight();
});

test('a file in whose place another one is, of the same time and size, is stored', async () => {
	shell(`head -c 450 /dev/urandom >new; touch -r folder/file-9 new; mv new folder/file-9
		touch -r ../time folder`);
	// With both folders.
	assert.equal(await changed(), 3);
});

test('a change of rights, and one of content that comes with it, is stored', async () => {
	edit('folder/file-8', 100);
	shell('chmod 600 folder/file-8 folder/file-9 database');
	assert.equal(await changed(), 3);
	await isRight();
});

test('a change of extended attributes or ACLs alone is stored, of files, folders and links', async () => {
	shell(
		`setfattr -n user.a -v 1 folder/file-1; setfattr -n user.a -v 1 folder; setfacl -m u:1234:r database`,
	);
	assert.equal(await changed(), 3);
	shell('setfattr -n user.a -v 2 folder/file-1; setfattr -x user.a folder');
	assert.equal(await changed(), 2);
	await isRight();
});

test('what was touched only is read, not stored, and not read again', async () => {
	shell('chmod 644 folder/file-10');
	await backup();
	shell(
		'touch -r folder/file-20 ../time; touch folder/file-20; touch -r ../time folder/file-20; touch -r . ../time',
	);
	shell('chmod 777 folder/file-10; chmod 644 folder/file-10; ln database x; rm x; touch -r ../time .');
	const { changedEntries, bytesRead } = await backup();
	assert.deepEqual([changedEntries, bytesRead], [0, 5_001_500]);
	assert.equal((await backup()).bytesRead, 0);
});

test('a source that was copied or restored, so that every inode and ctime is another, is read once and not stored', async () => {
	shell('cp -a . ../copy; mv ../source ../old; mv ../copy ../source');
	const volumes = () => readdirSync(target).filter((name) => name.includes('.difftar.')).length;
	const had = volumes();
	const { changedEntries, bytesRead } = await backup();
	assert.equal(changedEntries, 0);
	assert.ok(bytesRead > 5_000_000);
	// One for each set: it is there even when it holds nothing.
	assert.equal(volumes(), had + 1);
	assert.equal((await backup()).bytesRead, 0);
	edit('database', 7);
	assert.equal(await changed(), 1);
	await isRight();
});

test('a host that has no index of its own goes by times and sizes once, and knows from then on', async () => {
	rmSync(join(box.dir, 'cache'), { recursive: true });
	assert.equal((await backup()).bytesRead, 0);
	edit('folder/file-30', 1000);
	assert.equal(await changed(), 1);
});

test('a dry run does not guess: it says what would be read', async () => {
	edit('folder/file-31', 1000);
	const { stdout, stderr } = await tsdup(['backup', 'p', '--dry-run'], { env: box.env });
	assert.match(stdout + stderr, /With another inode or ctime only: 1\. A backup reads these/);
	assert.equal((await backup('--full')).newEntries, ENTRIES);
	edit('folder/file-31', 1500);
	assert.equal(await changed(), 1);
	await isRight();
});

test('nothing of it is on the target, and nothing waits in the cache', () => {
	const known = /^(duplicity-(full|inc|full-signatures|new-signatures)\.|tsdup-index\.)/;
	assert.deepEqual(
		readdirSync(target).filter((name) => !known.test(name)),
		[],
	);
	const waiting = execFileSync('find', [join(box.dir, 'cache'), '-path', '*/pending/*']).toString();
	assert.equal(waiting, '');
});
