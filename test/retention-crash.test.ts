/**
 * A purge that is killed between any two deletions leaves only sets that are whole, for tsdup, for another host and for
 * duplicity, and what is left over goes with the next run.
 */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { cpSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { openProfile } from '../src/collection/access.js';
import type { ListedObject } from '../src/collection/backup-set.js';
import { parseName } from '../src/collection/names.js';
import { collect } from '../src/collection/sets.js';
import { ruleOf } from '../src/retention/conf.js';
import { cleanup, purge } from '../src/retention/retention.js';
import { ended, sandbox } from './cli.js';
import { History } from './history.js';

const PROGRAM = fileURLToPath(new URL('./purge-then-die.js', import.meta.url));
const PASSPHRASE = 'a passphrase of the test of killed purges';
/** Of three sets: manifests, signatures, segments, volumes. The full has two: what is left of one looks whole to who does not know. */
const DELETIONS = 13;
const box = sandbox();
const { TMPDIR: _, ...env } = box.env;
Object.assign(process.env, env);
const url = `file://${join(box.dir, 'target')}`;
const dir = join(box.env.TSDUP_PROFILES as string, 'p');
const elsewhere = join(box.dir, 'other-host');
const history = new History(
	box,
	'p',
	`TARGET='${url}'\nGPG_PW='${PASSPHRASE}'\nMAX_AGE=1Y`,
	{
		url,
		options: [],
		env: { PASSPHRASE },
	},
	{ bigSize: 2_300_000 },
);
const old: number[] = [];
const kept: number[] = [];
let all: ListedObject[];

before(async () => {
	for (const days of [500, 450, 400])
		old.push(await history.backup(days, old.length ? 'incremental' : 'full'));
	for (const days of [10, 9]) kept.push(await history.backup(days, kept.length ? 'incremental' : 'full'));
	all = await history.objects();
	assert.equal(all.filter(({ name }) => old.includes(parseName(name)?.time ?? 0)).length, DELETIONS);
	for (const folder of ['target', 'cache'])
		cpSync(join(box.dir, folder), join(box.dir, `${folder}-of-before`), { recursive: true });
});

after(() => box.remove());

async function killedBefore(deletion: number, order: string): Promise<void> {
	rmSync(elsewhere, { recursive: true, force: true });
	for (const folder of ['target', 'cache']) {
		rmSync(join(box.dir, folder), { recursive: true, force: true });
		cpSync(join(box.dir, `${folder}-of-before`), join(box.dir, folder), { recursive: true });
	}
	const child = spawn(process.execPath, [PROGRAM, dir, String(deletion), order], {
		env: box.env,
		stdio: ['ignore', 'pipe', 'pipe'],
	});
	const { code, stderr } = await ended(child);
	assert.equal(code, 128 + 9, stderr);
	assert.equal((await history.objects()).length, all.length - deletion);
}

async function assertWithoutHoles(): Promise<void> {
	const left = await history.objects();
	const has = new Set(left.map(({ name }) => name));
	const { chains, orphaned } = collect(left);
	const complete = new Set([...chains.flatMap(({ sets }) => sets), ...orphaned].map(({ time }) => time));
	for (const { name } of all) {
		const time = parseName(name)?.time ?? 0;
		if (complete.has(time) || kept.includes(time)) assert.ok(has.has(name), `${name} is missing from a set`);
	}
}

/** Whatever is shown, here and on a host that knows nothing, is whole, and what was to be kept is. */
async function assertShownIsRight(): Promise<void> {
	for (const cacheDir of [undefined, elsewhere]) {
		const shown = await history.restoreShown(cacheDir);
		assert.deepEqual(
			shown.filter((time) => !old.includes(time)),
			kept,
		);
	}
}

const purgeAgain = async () => {
	const access = await openProfile(dir);
	await purge({ ...access, force: true }, [ruleOf('purge', undefined, access.conf, Date.now() / 1000)]);
};

/** What may come next, and leaves just what was to be kept. */
const NEXT: readonly (readonly [string, () => Promise<unknown>])[] = [
	['the same purge', purgeAgain],
	[
		'cleanup, then the purge',
		async () => {
			await cleanup({ ...(await openProfile(dir)), force: true });
			await purgeAgain();
		},
	],
	[
		'the purge of another host, then its cleanup',
		async () => {
			const access = { ...(await openProfile(dir)), cacheDir: elsewhere };
			await purge({ ...access, force: true }, [ruleOf('purge', undefined, access.conf, Date.now() / 1000)]);
			await cleanup({ ...access, force: true });
		},
	],
];

describe('killed before each deletion in turn', () => {
	for (let deletion = 0; deletion < DELETIONS; deletion++) {
		for (const [i, order] of ['in order', 'reversed'].entries()) {
			const [what, next] = NEXT[(deletion + i) % NEXT.length] as (typeof NEXT)[number];
			test(`deletion ${deletion}, ${order}; next comes ${what}`, async () => {
				await killedBefore(deletion, order);
				await assertWithoutHoles();
				await assertShownIsRight();
				if (deletion === 4 && i === 0) await history.stock(['verify', '--compare-data'], history.source);
				await next();
				// An increment that lost its base before its manifest went is nobody's for a purge.
				if (order === 'reversed') await cleanup({ ...(await openProfile(dir)), force: true });
				await history.assertHolds(kept, all);
				assert.deepEqual(await history.restoreShown(), kept);
			});
		}
	}
});

test('a backup, too, deletes what a killed purge left of sets', async () => {
	await killedBefore(7, 'in order');
	const time = await history.backup(1, 'incremental');
	const left = (await history.objects()).filter(({ name }) => parseName(name)?.time !== time);
	assert.deepEqual(
		left.map(({ name }) => name).sort(),
		all.flatMap(({ name }) => (kept.includes(parseName(name)?.time ?? 0) ? [name] : [])).sort(),
	);
	await history.assertComesBack([...kept, time]);
});
