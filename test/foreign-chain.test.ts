/**
 * Whatever tree duplicity backs up, the mount shows each of its states as stock restores it; and the two programs can
 * take turns at one chain.
 */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import fc from 'fast-check';
import { parseName } from '../src/collection/names.js';
import { ChainSource } from './chain-source.js';
import { duplicity, type Ended, profile, type Sandbox, sandbox, tsdup } from './cli.js';
import { mount, removeCaches, requests } from './fixtures.js';
import { anyEdits, applyEdits, type Edit } from './random-edits.js';
import { SourceTree } from './source-tree.js';
import { assertSameTree, describeTree, type TreeEntry } from './tree.js';

const PASSPHRASE = 'of the test of foreign chains';

/** Of the first set; the others follow a day apart. */
const FIRST = 1_700_000_000;
const DAY = 86_400;

async function stock(args: readonly string[], box: Sandbox): Promise<Ended> {
	const ended = await duplicity(args, box);
	assert.equal(ended.code, 0, `duplicity ${args.join(' ')}\n${ended.stdout}\n${ended.stderr}`);
	return ended;
}

describe('random trees and edits, in volumes of 1 MiB', () => {
	for (const [form, options] of [
		['with a passphrase', []],
		['compressed only', ['--no-encryption']],
		['plain', ['--no-encryption', '--no-compression']],
	] as const) {
		test(`${form}: the mount shows what stock restores`, () =>
			fc.assert(
				fc.asyncProperty(fc.array(anyEdits, { minLength: 2, maxLength: 2 }), (steps) =>
					assertMountedAsRestored(steps, options),
				),
				{ seed: 20_101_004, numRuns: 1, endOnFailure: true },
			));
	}
});

async function assertMountedAsRestored(
	steps: readonly (readonly Edit[])[],
	options: readonly string[],
): Promise<void> {
	const box = sandbox();
	try {
		Object.assign(box.env, { TZ: 'UTC', PASSPHRASE });
		const url = `file://${join(box.dir, 'target')}`;
		const source = join(box.dir, 'source');
		const tree = new SourceTree(source, FIRST - DAY);
		tree.mkdir('');
		tree.write('several volumes', tree.noise(2_300_000));
		for (const [i, edits] of steps.entries()) {
			applyEdits(tree, edits);
			// The second full delta has several pieces in several volumes.
			if (i === 1) tree.write('several volumes', tree.noise(2_400_000));
			tree.setTimes();
			const time = ['--current-time', String(FIRST + i * DAY)];
			await stock(
				[i === 0 ? 'full' : 'incremental', '--volsize', '1', ...time, ...options, source, url],
				box,
			);
			tree.time += DAY;
		}
		const mounted = await mount(box, '--target', url);
		for (const i of [...steps.keys()].reverse()) {
			const to = join(box.dir, `restored-${i}`);
			const time = FIRST + i * DAY;
			await stock(['restore', '-t', String(time), ...options, url, to], box);
			const day = new Date(time * 1000).toISOString().slice(0, 10);
			assertSameTree(
				describeTree(Buffer.from(join(mounted.at, day))),
				describeTree(Buffer.from(to)),
				`state ${i}`,
				{ symlinkTimes: false },
			);
		}
		await mounted.umount();
	} finally {
		box.remove();
	}
}

describe('duplicity and tsdup take turns', () => {
	for (const [first, second, steps] of [
		['duplicity', 'tsdup', 5],
		['tsdup', 'duplicity', 2],
	] as const) {
		test(`beginning with ${first}: stock verifies every step, and the mount shows them all`, async () => {
			const box = sandbox();
			try {
				box.env.PASSPHRASE = PASSPHRASE;
				const turns = Array.from({ length: steps + 1 }, (_, i) => (i % 2 === 0 ? first : second));
				await assertTakeTurns(box, turns);
			} finally {
				box.remove();
			}
		});
	}
});

async function assertTakeTurns(box: Sandbox, turns: readonly ('duplicity' | 'tsdup')[]): Promise<void> {
	const source = join(box.dir, 'source');
	const target = `file://${join(box.dir, 'target')}`;
	box.env.TSDUP_TRACE = join(box.dir, 'trace');
	profile(
		box,
		'p',
		`SOURCE='${source}'\nTARGET='${target}'\nGPG_PW='${PASSPHRASE}'\nDUPL_PARAMS='--volsize 3'\n`,
	);
	const chain = new ChainSource(source, { smallFiles: 200, bigFile: 0 });
	const trees: TreeEntry[][] = [];
	for (const [step, who] of turns.entries()) {
		chain.apply(step);
		trees.push(describeTree(Buffer.from(source)));
		// Set times are in seconds, and duplicity's must not be ahead of the clock.
		await sleep(1100);
		if (who === 'duplicity') await stock(['--volsize', '3', source, target], box);
		else await backUpWithoutVolumes(box);
		const { stdout } = await stock(['verify', '--compare-data', target, source], box);
		assert.match(
			stdout,
			new RegExp(`^Verify complete: ${trees[step]?.length} files compared, 0 differences`, 'm'),
		);
	}
	await assertMounted(box, trees);
	removeCaches(box);
	await assertMounted(box, trees);
}

/** One by tsdup, which reads signatures of the sets before, and no volume. */
async function backUpWithoutVolumes(box: Sandbox): Promise<void> {
	const before = requests(box).length;
	const ended = await tsdup(['backup', 'p'], box);
	assert.equal(ended.code, 0, ended.stderr);
	const reads = requests(box)
		.slice(before)
		.filter(({ op }) => op === 'read' || op === 'stream');
	for (const { name } of reads) assert.notEqual(parseName(name as string)?.part, 'volume', name);
}

async function assertMounted(box: Sandbox, trees: readonly TreeEntry[][]): Promise<void> {
	const mounted = await mount(box, '-p', 'p');
	const { stdout } = await tsdup(['--json', 'status', 'p'], box);
	const sets = stdout
		.trim()
		.split('\n')
		.slice(0, -1)
		.map((line) => JSON.parse(line) as { time: string });
	assert.equal(sets.length, trees.length);
	for (const [i, { time }] of sets.entries()) {
		const seconds = String(Date.parse(time.replace(/^(....)(..)(..T..)(..)(..Z)$/, '$1-$2-$3:$4:$5')) / 1000);
		const date = ['-d', `@${seconds}`, '+%Y-%m-%d_%H-%M-%S'];
		const folder = execFileSync('date', date, { env: box.env }).toString().trim();
		assertSameTree(describeTree(Buffer.from(join(mounted.at, folder))), trees[i] as TreeEntry[], `step ${i}`);
	}
	await mounted.umount();
}
