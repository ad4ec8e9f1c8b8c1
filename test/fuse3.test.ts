/** The driver upon libfuse 3, with a tree in memory that counts what it is asked. */
import assert from 'node:assert/strict';
import { execFile, spawn } from 'node:child_process';
import { mkdtemp, open, rm, rmdir } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import {
	type Attributes,
	type DirectoryEntry,
	Errno,
	type FileSystem,
	type Mounted,
	type OpenFile,
	type Part,
	ROOT_INO,
} from '../src/mount/driver.js';
import { fuse3 } from '../src/mount/fuse3.js';
import { bytesFrom } from './seeded.js';

const run = promisify(execFile);

const FOLDER = 10;
const FIRST_FILE = 1000;
const FILES = 500;
/** A folder whose sizes nobody knows yet. */
const DARK = 20;
const FIRST_DARK = 5000;
/** A file that is never read to its end. */
const STUCK = 30;
/** Two folders of folders, each with some files. */
const SHELVES = 40;
const MORE_SHELVES = 50;
const SHELF_COUNT = 60;
const FIRST_SHELF = 100;
const ON_SHELF = 8;
const FIRST_ON_SHELF = 10_000;
/** A folder whose listing comes in six parts. */
const LONG = 60;
const FIRST_LONG = 20_000;
const LONG_FILES = 5500;
/** Entries of a part. */
const PART = 1000;

const name = (i: number) => Buffer.from(`file ${String(i).padStart(4, '0')}`);
const content = (i: number) => bytesFrom(`file ${i}`, (i * 37) % 9000);

class CountedTree implements FileSystem {
	readonly asked: Record<string, number> = {};

	#count(what: string): void {
		this.asked[what] = (this.asked[what] ?? 0) + 1;
	}

	#attributes(ino: number): Attributes {
		const folder = ino !== STUCK && ino < FIRST_FILE;
		let size = ino === STUCK ? 10 : 0;
		if (ino >= FIRST_FILE && ino < FIRST_LONG) size = content(this.#number(ino)).length;
		return {
			...{ ino, type: folder ? 'dir' : 'file', mode: folder ? 0o755 : 0o644, nlink: 1, uid: 0, gid: 0 },
			...{ size, allocated: size, mtime: 1_700_000_000, mtimeNs: 123_456_789, devMajor: 0, devMinor: 0 },
			hasXattrs: false,
		};
	}

	#number(ino: number): number {
		if (ino >= FIRST_ON_SHELF) return ino - FIRST_ON_SHELF;
		return ino >= FIRST_DARK ? ino - FIRST_DARK : ino - FIRST_FILE;
	}

	hasXattrs(): boolean {
		return false;
	}

	isFixed(ino: number): boolean {
		return ino !== ROOT_INO;
	}

	async getattr(ino: number): Promise<Attributes> {
		this.#count('getattr');
		return this.#attributes(ino);
	}

	async lookup(parent: number, wanted: Buffer): Promise<Attributes> {
		this.#count('lookup');
		const found = (await this.#entries(parent)).find((entry) => entry.name.equals(wanted));
		if (!found) throw new Errno('ENOENT');
		return this.#attributes(found.ino);
	}

	async readdir(ino: number, after: number): Promise<Part> {
		this.#count('readdir');
		const entries = await this.#entries(ino);
		const first = entries.findIndex(({ offset }) => offset === after) + 1;
		return { entries: entries.slice(first, first + PART), isLast: first + PART >= entries.length };
	}

	async #entries(ino: number): Promise<DirectoryEntry[]> {
		const entry = (name: Buffer, child: number) => {
			const attributes = this.#attributes(child);
			const { type } = attributes;
			return { name, ino: child, offset: child, type, attributes: ino === DARK ? null : attributes };
		};
		if (ino === ROOT_INO) {
			return [
				entry(Buffer.from('folder'), FOLDER),
				entry(Buffer.from('dark'), DARK),
				entry(Buffer.from('stuck'), STUCK),
				entry(Buffer.from('shelves'), SHELVES),
				entry(Buffer.from('more'), MORE_SHELVES),
				entry(Buffer.from('long'), LONG),
			];
		}
		if (ino === SHELVES || ino === MORE_SHELVES) {
			const first = FIRST_SHELF + (ino === SHELVES ? 0 : SHELF_COUNT);
			return Array.from({ length: SHELF_COUNT }, (_, i) => entry(name(i), first + i));
		}
		if (ino === LONG) return Array.from({ length: LONG_FILES }, (_, i) => entry(name(i), FIRST_LONG + i));
		if (ino >= FIRST_SHELF) {
			const shelf = (ino - FIRST_SHELF) * ON_SHELF;
			return Array.from({ length: ON_SHELF }, (_, i) => entry(name(shelf + i), FIRST_ON_SHELF + shelf + i));
		}
		const first = ino === DARK ? FIRST_DARK : FIRST_FILE;
		return Array.from({ length: FILES }, (_, i) => entry(name(i), first + i));
	}

	async readlink(): Promise<Buffer> {
		throw new Errno('EINVAL');
	}

	async listxattr(): Promise<Buffer[]> {
		this.#count('xattr');
		return [];
	}

	async getxattr(): Promise<Buffer> {
		this.#count('xattr');
		throw new Errno('ENODATA');
	}

	async open(ino: number): Promise<OpenFile> {
		return { handle: ino, size: this.#attributes(ino).size };
	}

	async read(ino: number, offset: number, length: number): Promise<Buffer[]> {
		this.#count('read');
		if (ino === STUCK) return new Promise(() => {});
		return [content(this.#number(ino)).subarray(offset, offset + length)];
	}

	async release(): Promise<void> {}

	async following(ino: number, limit: number): Promise<{ ino: number; bytes: Buffer }[]> {
		this.#count('following');
		const files: { ino: number; bytes: Buffer }[] = [];
		let left = limit;
		const number = this.#number(ino);
		const end = ino >= FIRST_ON_SHELF ? number - (number % ON_SHELF) + ON_SHELF : FILES;
		for (let i = number; i < end; i++) {
			const bytes = content(i);
			left -= bytes.length;
			if (left < 0) break;
			files.push({ ino: ino - number + i, bytes });
		}
		return files;
	}

	async statfs(): Promise<{ blockSize: number; blocks: number; files: number }> {
		return { blockSize: 4096, blocks: 1, files: 1 };
	}
}

const tree = new CountedTree();
let mountpoint: string;
let mounted: Mounted;

before(async () => {
	mountpoint = await mkdtemp(join(tmpdir(), 'tsdup-fuse3-'));
	mounted = await fuse3.mount(mountpoint, tree, { allowOther: false, fsname: 'counted' });
});

after(async () => {
	await mounted.unmount();
	await rmdir(mountpoint).catch(() => rm(mountpoint, { recursive: true }));
});

/** @returns what the tree was asked meanwhile */
async function meanwhile(act: () => Promise<unknown>): Promise<Record<string, number>> {
	const before = { ...tree.asked };
	await act();
	const counts = Object.entries(tree.asked).map(
		([what, count]) => [what, count - (before[what] ?? 0)] as const,
	);
	return Object.fromEntries(counts.filter(([, count]) => count > 0));
}

test('a listing brings all attributes: nobody is asked for one of them again', async () => {
	const asked = await meanwhile(async () => {
		const { stdout } = await run('find', [join(mountpoint, 'folder'), '-type', 'f', '-size', '+4k']);
		assert.ok(stdout.split('\n').length > 100);
		await run('ls', ['-l', join(mountpoint, 'folder')]);
	});
	assert.ok((asked.getattr ?? 0) + (asked.lookup ?? 0) <= 2, JSON.stringify(asked));
	// The second program is given what the first one read.
	assert.equal(asked.readdir, 1, JSON.stringify(asked));
});

test('a name without attributes costs nothing until somebody wants them', async () => {
	const dark = join(mountpoint, 'dark');
	const listed = await meanwhile(async () => {
		const { stdout } = await run('find', [dark, '-type', 'f']);
		assert.equal(stdout.trim().split('\n').length, FILES);
	});
	assert.ok((listed.lookup ?? 0) <= 1, JSON.stringify(listed));
	const size = await meanwhile(async () => {
		const { stdout } = await run('stat', ['-c', '%s', join(dark, String(name(7)))]);
		assert.equal(Number(stdout), content(7).length);
	});
	assert.deepEqual(size, { lookup: 1 });
});

test('where no entry has extended attributes nobody is asked for any', async () => {
	const file = join(mountpoint, 'folder', String(name(7)));
	for (const options of [
		['-n', 'user.any'],
		['-d', '-m', '-'],
	]) {
		await assert.rejects(run('getfattr', [...options, file]), /Operation not supported/);
	}
	await run('ls', ['-l', file]);
});

test('times below the second', async () => {
	const { stdout } = await run('stat', ['-c', '%.Y', join(mountpoint, 'folder')]);
	assert.equal(stdout.trim().slice(0, 17), '1700000000.123456');
});

/** @returns the contents of all files below, as tar reads them in the order of names */
async function readAll(folder: string): Promise<Buffer> {
	const options = { encoding: 'buffer', maxBuffer: 2 ** 26 } as const;
	const { stdout } = await run('tar', ['-C', folder, '--sort=name', '-cf', '-', '.'], options);
	const child = spawn('tar', ['-xOf', '-']);
	const pieces: Buffer[] = [];
	child.stdout.on('data', (piece: Buffer) => pieces.push(piece));
	child.stdin.end(stdout);
	await new Promise((resolve) => child.once('close', resolve));
	return Buffer.concat(pieces);
}

const contents = (count: number) => Buffer.concat(Array.from({ length: count }, (_, i) => content(i)));

test('who reads small files in their order gets most of them before he asks, and the right ones', async () => {
	const folder = join(mountpoint, 'folder');
	const asked = await meanwhile(async () => assert.ok((await readAll(folder)).equals(contents(FILES))));
	assert.ok((asked.read ?? 0) < FILES / 2, JSON.stringify(asked));
	for (const i of [3, 250, 499]) {
		const { stdout } = await run('cat', [join(folder, String(name(i)))], { encoding: 'buffer' });
		assert.ok(stdout.equals(content(i)));
	}
});

test('who goes through folders gets each one before he asks, once, and is not read for when he only lists', async () => {
	const listed = await meanwhile(() => run('find', [join(mountpoint, 'more'), '-size', '+1M']));
	assert.equal(listed.readdir, SHELF_COUNT + 1, JSON.stringify(listed));
	assert.ok((listed.following ?? 0) < 5, JSON.stringify(listed));
	const folder = join(mountpoint, 'shelves');
	const wanted = contents(SHELF_COUNT * ON_SHELF);
	const asked = await meanwhile(async () => assert.ok((await readAll(folder)).equals(wanted)));
	assert.equal(asked.readdir, SHELF_COUNT + 1, JSON.stringify(asked));
	assert.ok((asked.read ?? 0) < SHELF_COUNT / 2, JSON.stringify(asked));
	// What one program was given is still right for another.
	assert.ok((await readAll(folder)).equals(wanted));
});

test('a long listing is asked for in parts, each once, and one of them ahead of its reader', async () => {
	const folder = join(mountpoint, 'long');
	const begun = await meanwhile(() =>
		run('python3', ['-c', 'import os, sys; next(os.scandir(sys.argv[1]))', folder]),
	);
	assert.equal(begun.readdir, 2, JSON.stringify(begun));
	const asked = await meanwhile(async () => {
		const { stdout } = await run('find', [folder, '-type', 'f', '-size', '-1k', '-printf', '%f\\n']);
		assert.equal(stdout, Array.from({ length: LONG_FILES }, (_, i) => `${name(i)}\n`).join(''));
	});
	// The second part is ready from before.
	assert.equal(asked.readdir, Math.ceil(LONG_FILES / PART) - 1, JSON.stringify(asked));
});

test('a reader who is stopped while he waits is let go, and the mount goes on', async () => {
	const child = spawn('cat', [join(mountpoint, 'stuck')]);
	const ended = new Promise<NodeJS.Signals | null>((resolve) =>
		child.once('close', (_, signal) => resolve(signal)),
	);
	await sleep(300);
	child.kill('SIGINT');
	const signal = await Promise.race([ended, sleep(5000, 'nothing')]);
	assert.equal(signal, 'SIGINT');
	await run('ls', [join(mountpoint, 'folder')]);
});

test('unmounting is refused while a file is open', async () => {
	const file = await open(join(mountpoint, 'folder', String(name(5))));
	await assert.rejects(mounted.unmount(), /is in use/);
	await file.close();
});
