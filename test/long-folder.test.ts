/** A folder whose listing comes in parts: whoever reads it, however, gets all of it in its order, or an error. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdirSync, opendirSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, afterEach, before, beforeEach, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { profile, sandbox, tsdup } from './cli.js';
import { type Mounted, mount } from './fixtures.js';

const CALLS = fileURLToPath(new URL('../../test/kernel-calls.py', import.meta.url));
const FILES = 5500;
/** More folders than the mount keeps parts of. */
const OTHERS = 20;

const box = sandbox();
const source = join(box.dir, 'source');
/** In the order of listings, which is not that in which they were made. */
const names = Array.from({ length: FILES }, (_, i) => `file ${i}`).sort();
let mounted: Mounted;

function fill(folder: string, files: readonly string[]): void {
	mkdirSync(folder, { recursive: true });
	for (const file of files) writeFileSync(join(folder, file), '');
}

function calls<T>(what: string, ...folders: string[]): T {
	const paths = folders.map((folder) => join(mounted.at, 'latest', folder));
	return JSON.parse(
		execFileSync('/usr/bin/python3', [CALLS, what, ...paths], { encoding: 'utf8', maxBuffer: 2 ** 24 }),
	) as T;
}

async function ok(...args: string[]): Promise<void> {
	const { code, stderr } = await tsdup(args, box);
	assert.equal(code, 0, stderr);
}

before(async () => {
	fill(join(source, 'long'), names);
	for (let i = 0; i < OTHERS; i++) fill(join(source, `others/${i}`), names.slice(0, 1100));
	profile(box, 'p', `SOURCE='${source}'\nTARGET='file://${box.dir}/target'\nGPG_PW='a passphrase'\n`);
	await ok('backup', 'p');
});

// Each on a mount of its own: the kernel keeps a listing that was read to its end.
beforeEach(async () => {
	mounted = await mount(box, '-p', 'p');
});

afterEach(() => mounted.umount());
after(() => box.remove());

test('it is listed whole and in order', () => {
	const listed = execFileSync('ls', ['-U', join(mounted.at, 'latest/long')], { encoding: 'utf8' });
	assert.deepEqual(listed.trimEnd().split('\n'), names);
});

test('any place of it can be gone back to before its end was seen', () => {
	const found = calls<{ wrong: unknown[]; rest: string[]; all: string[] }>('seek_halfway', 'long');
	assert.deepEqual(found.wrong, []);
	assert.deepEqual(found.rest, names.slice(2222));
	assert.deepEqual(found.all, names);
});

test('two readers at different places of it each get all of it', () => {
	assert.deepEqual(calls('two_readers', 'long'), [names, names]);
});

test('a reader goes on where he was after many other long folders were listed', () => {
	assert.deepEqual(calls('after_others', 'long', 'others'), names);
});

test('a reader whose snapshot is deleted when he is in the middle gets an error, not the end', async () => {
	await ok('backup', 'p', '--full');
	const [time] = readdirSync(mounted.at).filter((name) => name.includes('_'));
	const folder = opendirSync(join(mounted.at, time as string, 'long'), { bufferSize: 1 });
	const read = () => {
		const found: string[] = [];
		for (let entry = folder.readSync(); entry; entry = folder.readSync()) found.push(entry.name);
		return found;
	};
	assert.equal(folder.readSync()?.name, names[0]);
	await ok('purge-full', 'p', '1', '--force');
	assert.throws(read, { code: 'EIO' });
	folder.closeSync();
});
