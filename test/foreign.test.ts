/** Collections that duplicity wrote are shown as stock restores them, in every form that it has ever written. */
import assert from 'node:assert/strict';
import { readdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { profile, sandbox, tsdup } from './cli.js';
import {
	assertShows,
	assertShowsStep,
	copySecretKey,
	dayOf,
	expectedTree,
	importKeys,
	mount,
	PASSPHRASE,
	removeCaches,
	unpack,
} from './fixtures.js';
import { assertSameTree, describeTree } from './tree.js';

const ALL = [0, 1, 2, 3, 4, 5];
const TWO = [0, 1];

/** Which steps of which tree are in each collection. */
const COLLECTIONS: readonly [name: string, kind: string, steps: readonly number[]][] = [
	['plain-08', 'std', ALL],
	['plain-30', 'std', ALL],
	['plain-31', 'std', ALL],
	['sym-08', 'std', ALL],
	['sym-31', 'std', ALL],
	['pubsign-08', 'std', ALL],
	['ecc-08', 'mini', TWO],
	['hidden-08', 'mini', TWO],
	['symsign-08', 'mini', TWO],
	['nocomp-08', 'mini', TWO],
	['ocb-31', 'mini', TWO],
	['uncompressed-08', 'mini', TWO],
	['shortnames-08', 'mini', TWO],
	['chains-08', 'mini', ALL],
	['single-08', 'single', TWO],
	['multivol-08', 'patt', TWO],
	['resumed-08', 'patt', [0]],
	['extrafiles', 'std', ALL],
	['dmg-nomanifest', 'std', ALL],
	['dmg-nosig', 'std', ALL],
];

const box = sandbox();
Object.assign(box.env, { TZ: 'UTC', PASSPHRASE });
before(() => importKeys(box));
after(() => box.remove());

describe('mounted by its URL, a collection shows every snapshot as stock restores it', () => {
	for (const [name, kind, steps] of COLLECTIONS) {
		test(name, async () => {
			const mounted = await mount(box, '--target', `file://${unpack(box, name)}`);
			assertShows(mounted, kind, steps);
			await mounted.umount();
		});
	}

	test('and the newest first, without anything in the cache', async () => {
		removeCaches(box);
		for (const [name, kind, steps] of COLLECTIONS) {
			const mounted = await mount(box, '--target', `file://${unpack(box, name)}`);
			for (const step of [...steps].reverse()) assertShowsStep(mounted.at, kind, step);
			await mounted.umount();
		}
	});
});
