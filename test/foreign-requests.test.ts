/** What reading a collection that duplicity wrote costs: each volume is fetched once, and only when a file in it is wanted. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { readdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import { PutObjectCommand } from '@aws-sdk/client-s3';
import { parseName } from '../src/collection/names.js';
import { connect } from '../src/target/s3-client.js';
import { duplicity, profile, sandbox, tsdup } from './cli.js';
import { type Mounted, mount, removeCaches, requests } from './fixtures.js';
import { type Radosgw, startRadosgw } from './radosgw.js';
import { SourceTree } from './source-tree.js';

const run = promisify(execFile);

const box = sandbox();
const source = join(box.dir, 'source');
const folder = join(box.dir, 'target');
const inOrder = join(box.dir, 'in-order');
const BUCKET = 'requests';
box.env.TSDUP_TRACE = join(box.dir, 'trace');
box.env.PASSPHRASE = 'of the test of foreign requests';
let server: Radosgw;
let mounted: Mounted;

/** Small files, some before and some after a file of three volumes; then one of them changed. */
before(async () => {
	const tree = new SourceTree(source, 1_600_000_000);
	for (let i = 0; i < 5; i++) {
		tree.write(`a/${i}`, tree.noise(1000));
		tree.write(`z/${i}`, tree.noise(1000));
	}
	tree.write('m', tree.noise(2_500_000));
	tree.setTimes();
	await backUp('full', 1_700_000_000);
	tree.time += 86_400;
	tree.overwrite('a/1', 500, tree.noise(10));
	tree.setTimes();
	await backUp('incremental', 1_700_086_400);
	server = await startRadosgw();
	const client = connect(await server.createBucket(BUCKET));
	for (const Key of readdirSync(folder)) {
		await client.send(new PutObjectCommand({ Bucket: BUCKET, Key, Body: readFileSync(join(folder, Key)) }));
	}
	// A set of ten volumes and small files, in another collection.
	const many = new SourceTree(inOrder, 1_600_000_000);
	for (let i = 10; i < 34; i++) many.write(`f/${i}`, many.noise(400_000));
	many.setTimes();
	const target = join(box.dir, 'many');
	const backup = ['full', '--volsize', '1', inOrder, `file://${target}`];
	const { code, stderr } = await duplicity(backup, box);
	assert.equal(code, 0, stderr);
	profile(box, 'many', `SOURCE='/nowhere'\nTARGET='file://${target}'\nGPG_PW='${box.env.PASSPHRASE}'`);
	const settings = [
		`SOURCE='/nowhere'\nTARGET='s3:///${BUCKET}'\nGPG_PW='${box.env.PASSPHRASE}'`,
		`TARGET_USER='${server.accessKeyId}'\nTARGET_PASS='${server.secretAccessKey}'`,
		`DUPL_PARAMS='--s3-endpoint-url ${server.endpoint}'`,
	];
	profile(box, 'stock', settings.join('\n'));
});

after(async () => {
	box.remove();
	await server.stop();
});

async function backUp(kind: string, time: number): Promise<void> {
	const args = [kind, '--volsize', '1', '--current-time', String(time), source, `file://${folder}`];
	const { code, stderr } = await duplicity(args, box);
	assert.equal(code, 0, stderr);
}

/** @returns the requests that are made meanwhile, without the times in names */
async function meanwhile(act: () => Promise<unknown>): Promise<string[]> {
	const before = requests(box).length;
	await act();
	return requests(box)
		.slice(before)
		.map(({ op, name }) => {
			const parsed = name === undefined ? null : parseName(name);
			return parsed ? `${op} ${parsed.kind} ${parsed.part}${parsed.volume ? ` ${parsed.volume}` : ''}` : op;
		});
}

/** Reads a file of the newest snapshot, by another process. */
async function read(path: string): Promise<void> {
	await run('cmp', [join(mounted.at, 'latest', path), join(source, path)]);
}

const mountIt = async () => {
	mounted = await mount(box, '-p', 'stock');
};

test('a mount without a cache: one listing, the manifest and the sigtar of each set', async () => {
	// Those of a set are asked for at once.
	assert.deepEqual((await meanwhile(mountIt)).sort(), [
		'list',
		'stream full manifest',
		'stream full sigtar',
		'stream inc manifest',
		'stream inc sigtar',
	]);
});

test('names, types and df: nothing', async () => {
	const cost = await meanwhile(async () => {
		const { stdout } = await run('find', [mounted.at, '-type', 'f']);
		assert.equal(stdout.trim().split('\n').length, 2 * 11);
		await run('ls', ['-R', mounted.at]);
		await run('df', [mounted.at]);
	});
	assert.deepEqual(cost, []);
});

test('a small file: the volume that it lies in; the next one there: nothing', async () => {
	assert.deepEqual(await meanwhile(() => read('a/0')), ['stream full volume 1']);
	assert.deepEqual(await meanwhile(() => read('a/2')), []);
	const folder = await meanwhile(() => run('ls', ['-l', join(mounted.at, '2023-11-14', 'a')]));
	assert.deepEqual(folder, []);
});

test('a file that was changed: the volume of its delta, too', async () => {
	assert.deepEqual(await meanwhile(() => read('a/1')), ['stream inc volume 1']);
});

test('many readers of one volume at once: one request', async () => {
	const files = [0, 1, 2, 3, 4].map((i) => `z/${i}`);
	const cost = await meanwhile(() => Promise.all(files.map(read)));
	assert.equal(cost.length, 1);
	assert.match(cost[0] as string, /^stream full volume [34]$/);
});

test('a file of several volumes: those that were not read yet, once each', async () => {
	const cost = await meanwhile(() => read('m'));
	assert.ok(cost.length > 0);
	assert.equal(new Set(cost).size, cost.length);
	for (const request of cost) assert.match(request, /^stream full volume [234]$/);
	assert.deepEqual(await meanwhile(() => read('m')), []);
});

test('mounted again: one listing, and nothing for what was read before', async () => {
	await mounted.umount();
	assert.deepEqual(await meanwhile(mountIt), ['list']);
	const cost = await meanwhile(async () => {
		for (const path of ['a/0', 'a/1', 'm', 'z/3']) await read(path);
		await run('find', [mounted.at, '-ls']);
	});
	assert.deepEqual(cost, []);
	assert.equal(readFileSync(join(mounted.at, 'latest/a/4')).length, 1000);
	await mounted.umount();
});

test('what the cache has lost is not fetched whole again: only the parts that are read', async () => {
	const collections = join(box.env.XDG_CACHE_HOME as string, 'tsdup/collections');
	const [collection] = readdirSync(collections);
	for (const cache of ['volumes', 'frames']) {
		rmSync(join(collections, collection as string, cache), { recursive: true, force: true });
	}
	await mountIt();
	assert.deepEqual(await meanwhile(() => read('a/0')), ['read full volume 1']);
	await mounted.umount();
});

test('after index build a volume is never fetched whole', async () => {
	removeCaches(box);
	assert.equal((await tsdup(['index', 'build', 'stock'], box)).code, 0);
	await mountIt();
	const cost = await meanwhile(async () => {
		await run('find', [mounted.at, '-ls']);
		await read('a/1');
	});
	assert.deepEqual(cost.sort(), ['read full volume 1', 'read inc volume 1']);
	await mounted.umount();
});

test('who goes through volumes in their order gets the next one with the third; who jumps gets what he asks for', async () => {
	removeCaches(box);
	mounted = await mount(box, '-p', 'many');
	const volumeOf = (request: string) => Number(request.split(' ').at(-1));
	const asked: number[][] = [];
	for (const name of readdirSync(join(mounted.at, 'latest/f'))) {
		const cost = await meanwhile(async () => {
			await run('cmp', [join(mounted.at, 'latest/f', name), join(inOrder, 'f', name)]);
			// What it asks for ahead may be asked for when it has answered.
			await sleep(100);
		});
		const fetched = cost.filter((request) => request.startsWith('stream')).map(volumeOf);
		if (fetched.length > 0) asked.push(fetched);
	}
	const all = asked.flat().sort((a, b) => a - b);
	assert.deepEqual(
		all,
		Array.from({ length: all.length }, (_, i) => i + 1),
		'each one once',
	);
	assert.ok(all.length >= 8, `${all.length} volumes`);
	assert.ok(asked.length < all.length - 1, `waited for ${JSON.stringify(asked)}`);
	await mounted.umount();
	removeCaches(box);
	mounted = await mount(box, '-p', 'many');
	for (const name of ['33', '12', '24', '10', '29']) {
		const cost = await meanwhile(() =>
			run('cmp', [join(mounted.at, 'latest/f', name), join(inOrder, 'f', name)]),
		);
		const fetched = cost.filter((request) => request.startsWith('stream'));
		assert.ok(fetched.length <= 2, `${name}: ${fetched}`);
	}
	await mounted.umount();
});
