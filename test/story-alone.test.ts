/**
 * The way of a typical profile, from `create` to the day when something is wanted back: a job every other day on S3, full backups
 * that age, chains that are purged, and every backup that is kept comes back.
 */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { formatSetTime } from '../src/collection/times.js';
import { startRadosgw } from './radosgw.js';
import { Story } from './story.js';

let story: Story;
let profile: string;
let log: string;

before(async () => {
	story = await Story.begin({ full: 4, age: 7, last: 12 });
	profile = join(story.box.env.HOME as string, '.tsdup/home');
	log = join(story.box.dir, 'log');
	const { code, stderr } = await story.tsdup('create', 'home', '--no-questions');
	assert.equal(code, 0, stderr);
	story.edit(profile);
});

after(async () => {
	story.box.remove();
	await (await startRadosgw()).stop();
});

test('every other day the job makes a backup, verifies it and purges', async () => {
	for (let day = 0; day <= story.rules.last; day += 2) {
		const job = ['--log', log, 'run', 'home', 'backup_verify_purge', '--force'];
		const { stdout } = await story.day(day, () => story.tsdup(...job));
		assert.match(stdout, /^(Full|Incremental) backup of .* is complete/m);
		assert.match(stdout, /^Verified \d+ objects, .*: all good, signed by BE0139F7AD67C590\.$/m);
		assert.match(stdout, day === 10 ? /^Deleted 2 sets with /m : /^There is nothing to delete\.$/m);
		await story.assertTidy();
	}
	assert.deepEqual(
		story.kept.map(({ day, kind }) => `${day} ${kind}`),
		['4 full', '6 inc', '8 full', '10 inc', '12 full'],
	);
	assert.deepEqual(story.scriptLog(), Array(7).fill('bkp ended with 0'));
});

test('what each of them said is in the log, with the time of that day', () => {
	const lines = readFileSync(log, 'utf8').split('\n');
	const days = (what: RegExp) =>
		new Set(lines.filter((line) => what.test(line)).map((line) => line.slice(0, 10)));
	for (const what of [
		/Z (Full|Incremental) backup of /,
		/Z Verified /,
		/Z (Deleted 2 sets|There is nothing)/,
	])
		assert.equal(days(what).size, 7, String(what));
});

test('status lists them, and restore and fetch give back what was', async () => {
	assert.deepEqual(
		await story.listed(),
		story.kept.map(({ time }) => formatSetTime(time)),
	);
	const dir = join(story.box.dir, 'dir');
	const restored = await story.tsdup('restore', 'home', dir, '7d');
	assert.equal(restored.code, 0, restored.stderr);
	story.assertIs(dir, story.before(7));
	const file = join(story.box.dir, 'passwd-yesterday');
	const fetched = await story.tsdup('fetch', 'home', 'etc/passwd', file, '1D');
	assert.equal(fetched.code, 0, fetched.stderr);
	assert.equal(readFileSync(file, 'utf8'), 'root:x:0:0\nof day:x:10\n');
});

test('every one comes back on a bare machine, from the conf, the keys and the bucket alone', () =>
	story.assertAllComeBackElsewhere(profile));

test('duplicity restores every one', () => story.assertAllComeBackByStock());

test('MAX_FULL_BACKUPS leaves the newest chain, which duply sees with the same profile', async () => {
	const { code, stderr } = await story.tsdup('run', 'home', 'purgeFull', '--force');
	assert.equal(code, 0, stderr);
	story.keepOneFull();
	assert.deepEqual(
		await story.sets(),
		story.kept.map(({ time }) => time),
	);
	await story.assertTidy();
	const { stdout } = await story.duply(profile, 'status');
	assert.equal(stdout.match(/^ +(Full|Incremental) /gm)?.length, 1, stdout);
});
