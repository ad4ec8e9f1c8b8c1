/**
 * Folders that are passed over because their digest is as it was: whatever was changed, and wherever, each snapshot is the source, and
 * what is stored, counted and said is what a run without digests stores, counts and says.
 */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { readdirSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import fc from 'fast-check';
import { parseName } from '../src/collection/names.js';
import type { SnapshotSet } from '../src/index/entry.js';
import { FolderDigests, FolderRecorder } from '../src/index/folders.js';
import { Index } from '../src/index/index.js';
import { beginRun, dropRun, endRun } from '../src/index/runs.js';
import { duplicity, ended, startTsdup, tsdup, tsdupAsNobody } from './cli.js';
import { Gate } from './crash-bench.js';
import { FolderPair, type Side } from './folder-pair.js';
import { anyEdits, applyEdits } from './random-edits.js';
import { SourceTree } from './source-tree.js';
import { describeTree } from './tree.js';

/** Of the tree of `makeTree`. */
const ENTRIES = 1219;
/** The folder a/deep/er and all in it. */
const IN_ER = 8;

/** More than a page of the index in one folder; names that are not UTF-8; an empty folder; links. */
function makeTree(pair: FolderPair): void {
	pair.shell(`mkdir -p a/deep/er/est b many empty $'latin1-\\xe9/in'
		for i in 1 2 3 4 5; do echo "a file $i" >a/$i; echo "a deep file $i" >a/deep/er/$i; echo "b $i" >b/$i; done
		echo deepest >a/deep/er/est/file; echo alone >$'latin1-\\xe9/in/\\xff'; ln -s a/1 link; ln b/1 b/again
		for i in {1..1190}; do echo $i >many/$i; done`);
}

/** Of which nothing was changed since the last run. */
async function settled(conf = ''): Promise<FolderPair> {
	const pair = new FolderPair(conf);
	makeTree(pair);
	const { entries, newEntries } = await pair.step();
	assert.deepEqual([entries, newEntries], [ENTRIES, ENTRIES]);
	await assertNothing(pair);
	return pair;
}

/** A run that stores nothing, so that the snapshot is as the one before. @param entries how many are selected */
async function assertNothing(pair: FolderPair, entries = ENTRIES): Promise<void> {
	const nothing = { newEntries: 0, changedEntries: 0, deletedEntries: 0, bytesRead: 0, warnings: 0 };
	assert.deepEqual(await pair.step(null), { entries, ...nothing });
}

/** A run. @returns numbers of entries: new, changed, deleted */
async function effects(pair: FolderPair, leaveOut: string[] = []): Promise<number[]> {
	const { newEntries, changedEntries, deletedEntries } = await pair.step(leaveOut);
	return [newEntries, changedEntries, deletedEntries];
}

async function bytesRead(pair: FolderPair, side: Side, ...options: string[]): Promise<number> {
	const { code, stdout, stderr } = await tsdup(['--json', 'backup', 'p', ...options], {
		env: pair.env(side),
	});
	assert.equal(code, 0, stderr);
	return JSON.parse(stdout.trim().split('\n').at(-1) as string).summary.bytesRead;
}

test('what was not changed is not looked at, nor its row in the index, where no name is gone', async () => {
	const pair = new FolderPair();
	after(() => pair.box.remove());
	makeTree(pair);
	await pair.step();
	const folders = { '': 1, a: 5, 'a/deep': 0, 'a/deep/er': 5, 'a/deep/er/est': 1, b: 6, empty: 0 };
	const strange = { 'latin1-\xe9': 0, 'latin1-\xe9/in': 1, many: 1190 };
	const lines = Object.entries({ ...folders, ...strange }).map(([path, files]) => `${path}: ${files}`);
	assert.deepEqual(pair.digests(), { newest: lines, others: 0 });
	// Whoever compares a file with its row has to read the file.
	for (const side of ['with', 'without'] as const) pair.spoilStamps(side);
	pair.forget('without');
	assert.equal(await bytesRead(pair, 'with'), 0);
	pair.shell('chmod 600 a/deep/er/2; chmod 644 a/deep/er/2');
	assert.equal(await bytesRead(pair, 'with', '--dry-run'), 0);
	const length = 'a deep file 2\n'.length;
	assert.equal(await bytesRead(pair, 'with'), length);
	assert.ok((await bytesRead(pair, 'without')) > 4000);
	assert.deepEqual(pair.digests(), { newest: lines, others: lines.length });
	pair.shell('echo 6 >a/deep/er/6; chmod 600 a/deep/er/3; echo 6 >many/new');
	assert.equal(await bytesRead(pair, 'with'), 2 + length + 2);
	// Two names are not as they were, of which one is gone: which one, only all the rows tell.
	pair.shell('rm a/deep/er/6; chmod 644 a/deep/er/3');
	assert.equal(await bytesRead(pair, 'with'), 4 * length);
	await pair.isRight();
});

describe('in folders with digests, what was', () => {
	let pair: FolderPair;
	before(async () => {
		pair = await settled();
	});
	after(() => pair.box.remove());

	test('edited so that size and time stay is stored', async () => {
		pair.edit('a/3', 'X');
		assert.deepEqual(await effects(pair), [0, 1, 0]);
		pair.edit('a/deep/er/est/file', 'D');
		pair.edit('many/1100', '9');
		assert.deepEqual(await effects(pair), [0, 2, 0]);
		await assertNothing(pair);
	});

	test('given other rights or attributes is stored', async () => {
		pair.shell(
			'chmod 600 a/deep/er/1; setfattr -n user.a -v 1 b/4; setfacl -m u:1234:r many/7; chmod 700 empty',
		);
		assert.deepEqual(await effects(pair), [0, 4, 0]);
		pair.shell('setfattr -n user.a -v 2 b/4');
		assert.deepEqual(await effects(pair), [0, 1, 0]);
		await assertNothing(pair);
	});

	test('renamed, new or gone is', async () => {
		// With the folder, whose time is another.
		pair.shell('mv a/4 a/four');
		assert.deepEqual(await effects(pair), [1, 1, 1]);
		pair.shell('mv a/four a/4; echo new >a/deep/er/est/new; echo more >empty/file');
		assert.deepEqual(await effects(pair), [3, 3, 1]);
		pair.shell('rm a/deep/er/est/new empty/file; mkdir -p a/deep/new/er; echo x >a/deep/new/er/x');
		assert.deepEqual(await effects(pair), [3, 3, 2]);
		pair.shell('rm -r a/deep/new');
		assert.deepEqual(await effects(pair), [0, 1, 3]);
		await assertNothing(pair);
	});

	test('linked to from elsewhere is', async () => {
		pair.shell('ln a/deep/er/2 ../elsewhere');
		assert.deepEqual(await effects(pair), [0, 1, 0]);
		pair.shell('rm ../elsewhere');
		const { changedEntries, bytesRead } = await pair.step();
		assert.deepEqual([changedEntries, bytesRead], [0, 'a deep file 2\n'.length]);
		await assertNothing(pair);
	});

	test('a file and is a folder now, or the other way round, is', async () => {
		pair.shell('rm a/5; mkdir a/5; echo x >a/5/x; rm -r b; echo file >b');
		assert.deepEqual(await effects(pair), [1, 4, 6]);
		pair.shell(
			'rm -r a/5; echo "a file 5" >a/5; rm b; mkdir b; for i in 1 2 3 4 5; do echo "b $i" >b/$i; done; ln b/1 b/again',
		);
		assert.deepEqual(await effects(pair), [6, 4, 1]);
		await assertNothing(pair);
	});

	test('in a folder that was an empty one in one run, as that of a file system that was not mounted, comes back', async () => {
		pair.shell('mv many ../aside; mkdir many; mv a/deep ../deep; mkdir a/deep');
		const [, , deleted] = await effects(pair);
		assert.equal(deleted, 1190 + IN_ER);
		pair.shell('rmdir many; mv ../aside many; rmdir a/deep; mv ../deep a/deep');
		const [back] = await effects(pair);
		assert.equal(back, 1190 + IN_ER);
		pair.shell('mv many ../aside');
		assert.equal((await effects(pair))[2], 1191);
		pair.shell('mv ../aside many');
		assert.equal((await effects(pair))[0], 1191);
		await assertNothing(pair);
	});

	test('excluded or included since is gone or there', async () => {
		pair.exclude(`- ${pair.source}/b/2`, `- ${pair.source}/a/deep/er/est`);
		assert.deepEqual(await effects(pair, ['b/2', 'a/deep/er/est']), [0, 0, 3]);
		pair.edit('b/2', 'E');
		await assertNothing(pair, ENTRIES - 3);
		pair.exclude(`- ${pair.source}/b/3`);
		assert.deepEqual(await effects(pair, ['b/3']), [3, 0, 1]);
		pair.exclude('');
		assert.deepEqual(await effects(pair), [1, 0, 0]);
		await assertNothing(pair);
	});

	test('stored in a full backup counts from then on', async () => {
		assert.equal((await pair.step([], { options: ['--full'] })).newEntries, ENTRIES);
		assert.deepEqual(pair.digests().others, 0);
		await assertNothing(pair);
		pair.edit('many/500', '1');
		assert.deepEqual(await effects(pair), [0, 1, 0]);
	});

	test('found in a dry run is only said', async () => {
		pair.edit('a/1', 'D');
		const before = pair.sql('with', 'SELECT * FROM folders');
		const { stdout, stderr } = await tsdup(['backup', 'p', '--dry-run'], { env: pair.env('with') });
		assert.match(stdout, new RegExp(`${ENTRIES} entries: 0 new, 0 changed, 0 deleted`));
		assert.match(stderr, /With another inode or ctime only: 1\./);
		assert.deepEqual(pair.sql('with', 'SELECT * FROM folders'), before);
		assert.deepEqual(await effects(pair), [0, 1, 0]);
	});

	test('only lost with the newest set on the target is stored again', async () => {
		pair.edit('a/1', 'L');
		assert.deepEqual(await effects(pair), [0, 1, 0]);
		const lost: number[] = [];
		for (const side of ['with', 'without'] as const) {
			const folder = pair.url(side).slice('file://'.length);
			const newest = Math.max(...readdirSync(folder).map((name) => parseName(name)?.time ?? 0));
			for (const name of readdirSync(folder))
				if (parseName(name)?.time === newest) rmSync(join(folder, name));
			lost.push(newest);
		}
		assert.equal((await tsdup(['list', 'p'], { env: pair.env('with') })).code, 0);
		assert.deepEqual(pair.sql('with', `SELECT path FROM folders WHERE set_time = ${lost[0]}`), []);
		assert.deepEqual(await effects(pair), [0, 1, 0]);
		await assertNothing(pair);
	});

	test('known to an index that was lost is known by times once, and then by more', async () => {
		for (const side of ['with', 'without'] as const) {
			rmSync(pair.env(side).XDG_CACHE_HOME as string, { recursive: true });
		}
		await assertNothing(pair);
		await assertNothing(pair);
		pair.edit('a/deep/er/5', 'I');
		assert.deepEqual(await effects(pair), [0, 1, 0]);
	});

	test('backed up by duplicity in between is', async () => {
		await assertNothing(pair);
		for (const side of ['with', 'without'] as const) {
			// Runs that take less than a second are ahead of the clock, and duplicity does not build on those.
			const times = readdirSync(pair.url(side).slice('file://'.length)).map(
				(name) => parseName(name)?.time ?? 0,
			);
			while (Date.now() / 1000 <= Math.max(...times) + 1) await sleep(100);
		}
		pair.shell(
			'echo of duplicity >a/new; rm a/deep/er/est/file; chmod 600 a/2; mv many ../aside; mkdir many',
		);
		for (const side of ['with', 'without'] as const) {
			const { code, stderr } = await duplicity(['incr', '--no-encryption', pair.source, pair.url(side)], {
				env: pair.env(side),
			});
			assert.equal(code, 0, stderr);
		}
		pair.shell('rm a/new; echo deepest >a/deep/er/est/file; chmod 644 a/2; rmdir many; mv ../aside many');
		await sleep(1000);
		const [isNew, , deleted] = await effects(pair);
		assert.deepEqual([isNew, deleted], [1191, 1]);
		await assertNothing(pair);
	});

	test('behind a link that is the source is', async () => {
		pair.shell('mv ../source ../real; ln -s real ../source');
		await assertNothing(pair);
		pair.shell('cp -a . ../other; ln -sfn other ../source');
		pair.edit('a/deep/er/1', 'O');
		assert.deepEqual(await effects(pair), [0, 1, 0]);
		await assertNothing(pair);
	});
});

describe('folders are as they are without digests where', () => {
	test('a file deep inside excludes its folder', async () => {
		const pair = await settled("DUPL_PARAMS='--exclude-if-present .nobackup'");
		after(() => pair.box.remove());
		pair.shell('touch a/deep/er/.nobackup');
		assert.deepEqual(await effects(pair, ['a/deep/er']), [0, 0, IN_ER]);
		pair.edit('a/deep/er/1', 'E');
		await assertNothing(pair, ENTRIES - IN_ER);
		pair.shell('rm a/deep/er/.nobackup');
		assert.deepEqual(await effects(pair), [IN_ER, 0, 0]);
		await assertNothing(pair);
	});

	test('what is deep inside decides on the folders above', async () => {
		const pair = new FolderPair();
		after(() => pair.box.remove());
		makeTree(pair);
		const without = (...kept: string[]) => {
			const above = kept.flatMap((path) => path.split('/').map((_, i, names) => names.slice(0, i).join('/')));
			const all = describeTree(Buffer.from(pair.source)).map(({ path }) => path);
			return all.filter((path) => !above.includes(path) && !kept.includes(path));
		};
		const [one, other] = ['a/deep/er/est/1.keep', 'b/2.keep'];
		pair.shell(`echo 1 >${one}; echo 2 >${other}`);
		pair.exclude(`+ ${pair.source}/**.keep`, `- ${pair.source}/**`);
		assert.deepEqual(await effects(pair, without(one, other)), [8, 0, 0]);
		await assertNothing(pair, 8);
		pair.shell(`rm ${one}`);
		assert.deepEqual(await effects(pair, without(other)), [0, 0, 5]);
		await assertNothing(pair, 3);
		pair.shell(`echo 1 >${one}; rm ${other}`);
		assert.deepEqual(await effects(pair, without(one)), [5, 0, 2]);
		pair.exclude(`+ ${pair.source}/a/deep/er`, `- ${pair.source}/**`);
		const outside = ['link', 'b', 'many', 'empty', 'latin1-\xe9', ...[1, 2, 3, 4, 5].map((i) => `a/${i}`)];
		await pair.step(outside);
		pair.edit('a/deep/er/2', 'S');
		pair.edit('a/2', 'S');
		assert.deepEqual(await effects(pair, outside), [0, 1, 0]);
		await assertNothing(pair, 3 + IN_ER + 1);
	});

	test('the selection asks for an age', async () => {
		const pair = new FolderPair("DUPL_PARAMS='--exclude-older-than 2001-01-01'");
		after(() => pair.box.remove());
		makeTree(pair);
		pair.shell('touch -d 1999-01-01 a/1');
		await pair.step(['a/1']);
		assert.deepEqual(pair.digests(), { newest: [], others: 0 });
		pair.configure("DUPL_PARAMS='--exclude-older-than 1998-01-01'");
		assert.deepEqual(await effects(pair), [1, 0, 0]);
	});

	test('something cannot be read, which every run says', async () => {
		const pair = new FolderPair();
		after(() => pair.box.remove());
		makeTree(pair);
		const run = tsdupAsNobody;
		await pair.step([], { run });
		await pair.step([], { run });
		pair.edit('a/2', 'C');
		pair.shell('chmod 0 a/2 a/deep/er/est; echo x >empty/file; chmod 600 b empty');
		for (let i = 0; i < 3; i++) {
			const { changedEntries, warnings } = await pair.step([], { code: 3, run });
			assert.deepEqual([changedEntries, warnings], [i === 0 ? 3 : 0, 9]);
			assert.match(pair.said, /^warning: a\/2 cannot be read: permission denied$/m);
			assert.match(pair.said, /^warning: a\/deep\/er\/est cannot be read: permission denied$/m);
			assert.match(pair.said, /^warning: empty\/file cannot be read: permission denied$/m);
			assert.match(pair.said, /^warning: b\/again cannot be read: permission denied$/m);
		}
		pair.shell('chmod 644 a/2; chmod 755 a/deep/er/est b empty; printf D >a/deep/er/est/file');
		const { newEntries, changedEntries } = await pair.step([], { run });
		assert.deepEqual([newEntries, changedEntries], [1, 5]);
	});

	test('a socket is left out, which every run says', async () => {
		const pair = await settled();
		after(() => pair.box.remove());
		const server = createServer().listen(join(pair.source, 'b/socket'));
		after(() => server.close());
		for (let i = 0; i < 3; i++) {
			assert.equal((await pair.step()).entries, ENTRIES);
			assert.match(pair.said, /^b\/socket: sockets are not backed up\.$/m);
		}
	});
});

test('a run that is gone on with neither has digests nor leaves any', async () => {
	const pair = new FolderPair("DUPL_PARAMS='--volsize 1'");
	after(() => pair.box.remove());
	makeTree(pair);
	const refill = 'for i in 1 2 3 4; do head -c 1500000 /dev/urandom >big-$i; done';
	pair.shell(`${refill}; mkdir -p y/mount; echo x >y/mount/x`);
	await pair.alone();
	pair.shell(refill);
	const gate = new Gate(join(pair.box.dir, 'gate'));
	const child = startTsdup(['backup', 'p'], { env: { ...pair.env('with'), TSDUP_TRACE: gate.path } });
	const end = ended(child);
	while (child.exitCode === null && !/"put".*\.vol3\./.test(await gate.letOneIn()));
	child.kill('SIGKILL');
	assert.equal((await end).code, 128 + 9);
	// What such a run has written down in a tree of very many folders.
	pair.sql(
		'with',
		'INSERT OR IGNORE INTO folders SELECT (SELECT time FROM runs), path, digest, files FROM folders',
	);
	pair.shell('mv y/mount ../aside; mkdir y/mount');
	assert.match(await pair.alone(), /it goes on after what is complete, \d volumes?/);
	await pair.isRight();
	assert.deepEqual(pair.digests().newest, []);
	pair.shell('rmdir y/mount; mv ../aside y/mount');
	await pair.alone();
	await pair.isRight();
});

test('whatever was edited, the sets are those of runs without digests', () =>
	fc.assert(
		fc.asyncProperty(
			fc.array(
				anyEdits.map((edits) => edits.slice(0, 4)),
				{ minLength: 4, maxLength: 6 },
			),
			async (steps) => {
				const pair = new FolderPair();
				try {
					const tree = new SourceTree(pair.source, 1_700_000_000);
					for (const path of ['a', 'b', 'd/x', 'd/e/z', 'e/d/x', 'latin1-\xe9'])
						tree.write(path, tree.noise(700));
					for (let i = 0; i < 8; i++) tree.write(`deep/er/${i % 4}/${i}`, tree.noise(100));
					tree.setTimes();
					await pair.step();
					for (const edits of steps) {
						applyEdits(tree, edits);
						await pair.step();
						// Back in the next.
						pair.shell(
							'if [ -e ../aside ]; then rm -rf deep; mv ../aside deep; else mv deep ../aside; mkdir deep; fi',
						);
					}
					assert.ok(pair.digests().newest.length > 0);
				} finally {
					pair.box.remove();
				}
			},
		),
		{ seed: 20_101_004, numRuns: process.env.TSDUP_TESTS === 'all' ? 20 : 3, endOnFailure: true },
	));

describe('digests in the index', () => {
	const dir = new FolderPair().box;
	after(() => dir.remove());
	let count = 0;
	const open = () => {
		const index = new Index(join(dir.dir, `index-${count++}.sqlite`));
		after(() => index.close());
		return index;
	};
	const digest = createHash('sha256').digest();
	const set: SnapshotSet = { id: 1, kind: 'full', time: 5, start: null, chain: 5 };
	const find = (index: Index, path: string, time = set.time) =>
		new FolderDigests(digest, { index, set: { ...set, time } }).find(Buffer.from(path));

	test('are not those of a folder of which something was not stored as it was seen', () => {
		const index = open();
		const recorder = new FolderRecorder(index, 5, null);
		for (const path of ['a/b/file', 'c', 'd/e']) recorder.spoil(Buffer.from(path));
		for (const path of ['a/b', 'a', 'd/f', 'd', '', 'x']) recorder.add(Buffer.from(path), digest, 1);
		recorder.flush();
		const known = ['a/b', 'a', 'd/f', 'd', '', 'x'].filter((path) => find(index, path));
		assert.deepEqual(known, ['a', 'd/f', 'x']);
	});

	test('are those of the set and its base, and of no run that made no set', () => {
		const index = open();
		for (const time of [5, 6, 7]) {
			const recorder = new FolderRecorder(index, time, time - 1);
			recorder.add(Buffer.from('a'), digest, time);
			recorder.flush();
		}
		assert.deepEqual(
			[5, 6, 7].map((time) => find(index, 'a', time)?.files),
			[undefined, 6, 7],
		);
		const run = { kind: 'inc', start: 6, time: 7 } as const;
		beginRun(index, run, { header: Buffer.alloc(0), key: Buffer.alloc(32) });
		endRun(index, run);
		assert.ok(find(index, 'a', 7));
		dropRun(index, run);
		assert.deepEqual(
			[5, 6, 7].map((time) => find(index, 'a', time)?.files),
			[undefined, 6, undefined],
		);
	});

	test('cost no backup its life when the disk is full', () => {
		const index = open();
		const recorder = new FolderRecorder(index, 5, null);
		const pages = index.db.pragma('page_count', { simple: true });
		index.db.pragma(`max_page_count = ${pages}`);
		for (let i = 0; i < 20_000; i++) recorder.add(Buffer.from(`folder ${i}`), digest, 1);
		recorder.flush();
		index.db.pragma('max_page_count = 100000');
		assert.equal(find(index, 'folder 19999'), null);
		recorder.add(Buffer.from('later'), digest, 1);
		recorder.flush();
		assert.equal(find(index, 'later'), null);
	});
});
