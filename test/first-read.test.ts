/**
 * The first reading of a volume that duplicity made, in a folder: what was come to can be used while the rest is still to come, and
 * nothing can that was not proven before.
 */
import assert from 'node:assert/strict';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { openUrl } from '../src/collection/access.js';
import { openSnapshots } from '../src/snapshots/open.js';
import type { ObjectInfo, ObjectWriter, Target } from '../src/target/target.js';
import { duplicity, sandbox } from './cli.js';
import { bytesFrom } from './seeded.js';

const box = sandbox();
const source = join(box.dir, 'source');
const url = `file://${join(box.dir, 'target')}`;
const LENGTH = 6_000_000;
const NAMES = ['a', 'b', 'c', 'd', 'e', 'f', 'g', 'h'];
const content = (name: string) => bytesFrom(name, LENGTH);

before(async () => {
	Object.assign(box.env, { PASSPHRASE: 'of the first reading' });
	process.env.PASSPHRASE = box.env.PASSPHRASE;
	process.env.XDG_CACHE_HOME = join(box.dir, 'cache');
	mkdirSync(source);
	for (const name of NAMES) writeFileSync(join(source, name), content(name));
	const { code, stderr } = await duplicity([source, url], box);
	assert.equal(code, 0, stderr);
});
after(() => box.remove());

/** The target; each read of the volume's second half goes through `behind`, from the second time on. */
class Watched implements Target {
	readonly url: string;
	readonly #target: Target;
	readonly #behind: (bytes: Buffer) => Promise<Buffer>;
	readonly #read = new Set<number>();

	constructor(target: Target, behind: (bytes: Buffer) => Promise<Buffer>) {
		this.url = target.url;
		this.#target = target;
		this.#behind = behind;
	}

	async read(name: string, offset: number, length: number): Promise<Buffer> {
		const bytes = await this.#target.read(name, offset, length);
		if (!name.includes('difftar') || offset < (NAMES.length / 2) * LENGTH) return bytes;
		const isFirst = !this.#read.has(offset);
		this.#read.add(offset);
		return isFirst ? bytes : this.#behind(bytes);
	}
	list(): Promise<ObjectInfo[]> {
		return this.#target.list();
	}
	stream(name: string): AsyncIterable<Buffer> {
		return this.#target.stream(name);
	}
	create(name: string): ObjectWriter {
		return this.#target.create(name);
	}
	delete(names: readonly string[]): Promise<void> {
		return this.#target.delete(names);
	}
	unfinished(): Promise<string[]> {
		return this.#target.unfinished();
	}
	sweep(): Promise<void> {
		return this.#target.sweep();
	}
}

/** Opens the collection with an empty cache. @returns what reads a whole file of its snapshot */
async function opened(cache: string, behind: (bytes: Buffer) => Promise<Buffer>) {
	process.env.XDG_CACHE_HOME = join(box.dir, cache);
	const access = await openUrl(url);
	const collection = await openSnapshots({ ...access, target: new Watched(access.target, behind) }, () => {});
	const { snapshots } = collection;
	const [set] = snapshots.sets();
	assert.ok(set);
	const read = async (name: string) => {
		const entry = snapshots.find(set, Buffer.from(name)) ?? assert.fail(`no ${name}`);
		assert.equal(await snapshots.size(set, entry), LENGTH);
		return (await snapshots.open(set, entry)).read(0, LENGTH);
	};
	return { read, close: () => collection.close() };
}

test('a file is there before the rest of its volume was read, and the rest when it was', async () => {
	let release = () => {};
	const held = new Promise<void>((resolve) => {
		release = resolve;
	});
	const { read, close } = await opened('one', async (bytes) => {
		await held;
		return bytes;
	});
	const last = read('h');
	for (const name of ['b', 'a']) assert.ok((await read(name)).equals(content(name)), name);
	release();
	assert.ok((await last).equals(content('h')));
	for (const name of NAMES) assert.ok((await read(name)).equals(content(name)), name);
	close();
});

test('who reads one file after the other right behind the scan gets their bytes', async () => {
	const { read, close } = await opened('two', async (bytes) => bytes);
	for (const name of NAMES) assert.ok((await read(name)).equals(content(name)), name);
	close();
});

test('a volume that changes between its proof and its reading gives no wrong byte', async () => {
	const { read, close } = await opened('three', async (bytes) => {
		const others = Buffer.from(bytes);
		others[1000] = (others[1000] as number) ^ 1;
		return others;
	});
	const all = await Promise.allSettled(NAMES.map((name) => read(name)));
	all.forEach((one, i) => {
		if (one.status === 'fulfilled') assert.ok(one.value.equals(content(NAMES[i] as string)), NAMES[i]);
		else assert.match(String(one.reason), /changed while it was read|damaged/);
	});
	assert.equal(all[0]?.status, 'fulfilled');
	assert.equal(all.at(-1)?.status, 'rejected');
	close();
});
