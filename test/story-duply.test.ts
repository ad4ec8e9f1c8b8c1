/**
 * Weeks of one profile that duply and tsdup work on in turns, on the same bucket: neither minds what the other did, and every
 * backup that is kept comes back by either.
 */
import assert from 'node:assert/strict';
import { mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { formatSetTime } from '../src/collection/times.js';
import { startRadosgw } from './radosgw.js';
import { Story } from './story.js';

const JOB = 'backup_verify_purge';

let story: Story;
let profile: string;

before(async () => {
	story = await Story.begin({ full: 4, age: 7, last: 16 });
	profile = join(story.box.env.HOME as string, '.duply/home');
	mkdirSync(join(profile, '..'), { mode: 0o700 });
	const created = await story.duply('home', 'create');
	assert.match(created.stdout + created.stderr, /Congratulations/);
	story.edit(profile);
});

after(async () => {
	story.box.remove();
	await (await startRadosgw()).stop();
});

/** Either makes fulls and increments upon the other's, and purges chains of both. */
const who = ['duply', 'tsdup', 'tsdup', 'duply', 'duply', 'tsdup', 'tsdup', 'duply', 'tsdup'] as const;

test('each day the job makes a backup and purges, whoever runs it', async () => {
	for (const [i, by] of who.entries()) {
		const run = () =>
			by === 'duply' ? story.duply('home', JOB, '--force') : story.tsdup('run', 'home', JOB, '--force');
		const { stdout } = await story.day(2 * i, run);
		assert.match(
			stdout,
			by === 'duply'
				? /^Verify complete: \d+ files/m
				: /^Verified .*: all good, signed by BE0139F7AD67C590\.$/m,
		);
		// What tsdup lays beside a set is not duply's to delete.
		if (by === 'tsdup') await story.assertTidy();
	}
	assert.deepEqual(
		story.kept.map(({ day, kind }) => `${day} ${kind}`),
		['8 full', '10 inc', '12 full', '14 inc', '16 full'],
	);
	assert.deepEqual(
		story.scriptLog(),
		// In a group duply names the command before the last.
		who.map((by) => `${by === 'duply' ? 'pre' : 'bkp'} ended with 0`),
	);
});

test('status lists the same sets', async () => {
	const times = story.kept.map(({ time }) => formatSetTime(time));
	assert.deepEqual(await story.listed(), times);
	const theirs = await story.duply('home', 'status');
	assert.equal(theirs.stdout.match(/^ +(Full|Incremental) /gm)?.length, times.length, theirs.stdout);
});

test('restore and fetch give back what duply does', async () => {
	for (const by of ['duply', 'tsdup'] as const) {
		const run = (command: string, ...args: string[]) =>
			by === 'duply' ? story.duply('home', command, ...args) : story.tsdup(command, 'home', ...args);
		const all = join(story.box.dir, `all by ${by}`);
		const restored = await run('restore', all, '7D');
		assert.equal(restored.code, 0, restored.stdout + restored.stderr);
		story.assertIs(all, story.before(7), { symlinkTimes: by === 'tsdup' });
		const file = join(story.box.dir, `passwd by ${by}`);
		const fetched = await run('fetch', 'etc/passwd', file, '1D');
		assert.equal(fetched.code, 0, fetched.stdout + fetched.stderr);
		assert.equal(readFileSync(file, 'utf8'), 'root:x:0:0\nof day:x:14\n');
	}
});

test('duplicity restores every backup that is kept', () => story.assertAllComeBackByStock());

test('so does tsdup on a bare machine, from the conf, the keys and the bucket alone', () =>
	story.assertAllComeBackElsewhere(profile));
