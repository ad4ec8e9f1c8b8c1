/** `tsdup status`: what a backup costs, when it was verified, when the next full is due, what is left over. */
import assert from 'node:assert/strict';
import { cpSync, mkdirSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { nextFullDue } from '../src/snapshots/figures.js';
import { profile, sandbox, tsdup } from './cli.js';
import { mount } from './fixtures.js';

const box = sandbox();
const source = join(box.dir, 'source');
const target = join(box.dir, 'target');

after(() => box.remove());

before(async () => {
	mkdirSync(source);
	profile(
		box,
		'p',
		`SOURCE='${source}'\nTARGET='file://${target}'\nGPG_PW='secret of the status test'\nDUPL_PARAMS='--full-if-older-than 1M'\n`,
	);
	for (const content of ['one', 'two']) {
		writeFileSync(join(source, 'file'), content);
		const { code, stderr } = await tsdup(['backup', 'p'], box);
		assert.equal(code, 0, stderr);
	}
});

interface Status {
	readonly sets: Record<string, unknown>[];
	readonly summary: Record<string, unknown>;
}

async function status(): Promise<Status> {
	const { code, stdout, stderr } = await tsdup(['--json', 'status', 'p'], box);
	assert.equal(code, 0, stderr);
	const lines = stdout
		.trim()
		.split('\n')
		.map((line) => JSON.parse(line));
	const { summary } = lines.pop();
	return { sets: lines, summary };
}

test('objects and bytes are those on the target', async () => {
	const { sets, summary } = await status();
	const names = readdirSync(target);
	const bytes = names.reduce((sum, name) => sum + statSync(join(target, name)).size, 0);
	assert.equal(summary.objects, names.length);
	assert.equal(summary.bytes, bytes);
	assert.deepEqual(
		sets.map(({ kind, objects }) => [kind, objects]),
		[
			['full', 4],
			['inc', 4],
		],
	);
});

test('what was verified, and when: all of a set, a part, nothing', async () => {
	assert.deepEqual((await status()).summary.verified, { bytes: 0, oldest: null });
	assert.match((await tsdup(['status', 'p'], box)).stdout, /full .* not verified yet\n/);
	assert.equal((await tsdup(['verify', 'p'], box)).code, 0);
	const { sets, summary } = await status();
	assert.equal((summary.verified as { bytes: number }).bytes, summary.bytes);
	for (const { verified } of sets) assert.match(String(verified), /^\d{8}T\d{6}Z$/);
	assert.match((await tsdup(['status', 'p'], box)).stdout, /full .* verified \d+ (s|min) ago\n/);
});

test('the next full backup is due a month of 30 days after the last', async () => {
	const { sets, summary } = await status();
	const seconds = (text: unknown) =>
		Date.parse(String(text).replace(/^(....)(..)(..T..)(..)(..Z)$/, '$1-$2-$3:$4:$5')) / 1000;
	assert.equal(seconds(summary.nextFull) - seconds(sets[0]?.time), 30 * 86_400);
	assert.equal(nextFullDue(null, 1000, 2000), null);
	assert.equal(nextFullDue('2001-01-01', 1000, 2e9), 2e9, 'older than a date: the next one');
	assert.equal(nextFullDue('2001-01-01', 1.5e9, 2e9), null, 'younger than a date: never');
});

test('orphans: which objects they are, and what removes them', async () => {
	const pristine = `${target}-pristine`;
	cpSync(target, pristine, { recursive: true });
	const manifest = readdirSync(target).find((name) => /^duplicity-inc.*manifest/.test(name)) as string;
	const sigtar = readdirSync(target).find((name) => /^duplicity-new-signatures/.test(name)) as string;
	for (const name of [manifest, sigtar]) rmSync(join(target, name));
	const { sets, summary } = await status();
	assert.equal(summary.orphans, 1);
	const left = readdirSync(target).filter((name) => name.includes('.to.'));
	assert.deepEqual(
		sets.flatMap(({ orphan, names }) => (orphan ? (names as string[]) : [])).sort(),
		left.sort(),
	);
	const { stdout } = await tsdup(['status', 'p'], box);
	for (const name of left) assert.ok(stdout.includes(`\n  ${name}`), stdout);
	assert.match(stdout, /to remove them: tsdup cleanup p\)/);
	rmSync(target, { recursive: true });
	cpSync(pristine, target, { recursive: true });
});

test('mounts', async () => {
	const { at, umount } = await mount(box, '-p', 'p');
	try {
		const { code, stdout } = await tsdup(['--json', 'status', '--mounts'], box);
		assert.equal(code, 0);
		const mounts = stdout
			.trim()
			.split('\n')
			.map((line) => JSON.parse(line));
		const found = mounts.find(({ mountpoint }) => mountpoint === at);
		assert.ok(found?.pid > 0, stdout);
	} finally {
		await umount();
	}
	assert.ok(!(await tsdup(['status', '--mounts'], box)).stdout.includes(at));
	assert.equal((await tsdup(['status'], box)).code, 2);
	assert.equal((await tsdup(['status', 'p', '--mounts'], box)).code, 2);
});
