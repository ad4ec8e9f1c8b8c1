/** A mount that is open while backups are deleted goes on: what is gone cannot be read, and everything else can. */
import assert from 'node:assert/strict';
import { closeSync, openSync, readdirSync, readFileSync, readSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { snapshotDate } from '../src/collection/times.js';
import { sandbox, tsdup } from './cli.js';
import { type Mounted, mount } from './fixtures.js';
import { History } from './history.js';
import { assertSameTree, describeTree } from './tree.js';

const box = sandbox();
const { TMPDIR: _, ...env } = box.env;
Object.assign(process.env, env);
const history = new History(
	box,
	'p',
	`TARGET='file://${join(box.dir, 'target')}'\nGPG_PW='a passphrase of the purged mount'`,
	{ url: '', options: [] },
	{ bigSize: 4_000_000 },
);
/** Times, s: of chains that go, that lose their increments, and that stay. */
const gone: number[] = [];
const cut: number[] = [];
const kept: number[] = [];
let mounted: Mounted;

before(async () => {
	for (const [chain, days] of [
		[gone, [500, 450]],
		[cut, [200, 150]],
		[kept, [10]],
	] as const) {
		for (const [i, day] of days.entries()) chain.push(await history.backup(day, i ? 'incremental' : 'full'));
	}
	mounted = await mount(box, '-p', 'p');
});

after(() => box.remove());

const folder = (time: number | undefined) => join(mounted.at, snapshotDate(time as number));

/** Opens the big file of a snapshot and reads its first bytes, which brings its first frame into the caches, and no more. */
function begin(time: number | undefined): number {
	const fd = openSync(join(folder(time), 'big'), 'r');
	readSync(fd, Buffer.alloc(10), 0, 10, 0);
	return fd;
}

test('open files of deleted backups give EIO, which the log explains; all others go on', async () => {
	const [ofGone, ofCut, ofKept] = [gone[0], cut[0], kept[0]].map(begin) as [number, number, number];
	for (const args of [
		['purge', 'p', '300D', '--force'],
		['purge-incr', 'p', '1', '--force'],
	]) {
		const { code, stderr } = await tsdup(args, box);
		assert.equal(code, 0, stderr);
	}
	assert.throws(() => readSync(ofGone, Buffer.alloc(10), 0, 10, 3_900_000), { code: 'EIO' });
	const log = readFileSync(join(box.env.XDG_CACHE_HOME as string, 'tsdup/mount.log'), 'utf8');
	assert.match(log, /^\S+ big of \S+ cannot be read: .*(deleted|missing from the target)/m);
	for (const [fd, time] of [
		[ofCut, cut[0]],
		[ofKept, kept[0]],
	] as const) {
		const tail = Buffer.alloc(10);
		assert.equal(readSync(fd, tail, 0, 10, 3_900_000), 10);
		const tree = history.trees.get(time as number);
		assertSameTree(describeTree(Buffer.from(folder(time))), tree ?? [], folder(time));
	}
	for (const fd of [ofGone, ofCut, ofKept]) closeSync(fd);
});

test('folders of deleted backups are gone from the mount, and those that stay are there', async () => {
	const days = [cut[0], kept[0]].map((time) => snapshotDate(time as number));
	// The kernel keeps a listing of the mountpoint for a moment.
	for (let i = 0; i < 100 && readdirSync(mounted.at).length > 3; i++)
		await new Promise((r) => setTimeout(r, 100));
	assert.deepEqual(readdirSync(mounted.at).sort(), [...days, 'latest'].sort());
	await mounted.umount();
});
