/** A long chain of backups comes back whole from every reader there is: nothing is lost, altered, or shown wrongly. */
import assert from 'node:assert/strict';
import { rmSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { assertVolumesAreTars, Chain, type Snapshot } from './chain.js';
import { type Sandbox, sandbox } from './cli.js';
import { assertSameTree, describeTree } from './tree.js';

const PASSPHRASE = 'fixture-passphrase';

describe('a chain with a passphrase, a 300 MB file and 20,000 small ones', () => {
	let box: Sandbox;
	let chain: Chain;
	let folder: string;
	const references: string[] = [];

	before(async () => {
		box = sandbox();
		// A zone that is neither UTC nor whole hours from it.
		box.env.TZ = 'Asia/Kolkata';
		box.env.PASSPHRASE = PASSPHRASE;
		folder = join(box.dir, 'target');
		chain = new Chain({
			sandbox: box,
			name: 'big',
			conf: `TARGET='file://${folder}'\nGPG_PW='${PASSPHRASE}'\nDUPL_PARAMS='--volsize 25'`,
			scale: { smallFiles: 20_000, bigFile: 300 * 2 ** 20 },
			stock: { url: `file://${folder}`, options: [] },
		});
		await chain.build();
	});

	after(() => box.remove());

	test('gpg and tar alone open every volume', async () => {
		const volumes = assertVolumesAreTars(folder, box, PASSPHRASE);
		assert.ok(volumes > chain.snapshots.length + 4, 'the full has several volumes');
		await chain.assertStockStatus(volumes);
	});

	test('stock duplicity verifies it against the source', () => chain.assertStockVerifies());

	test('stock duplicity lists every snapshot', () => {
		for (const snapshot of chain.snapshots) chain.assertStockLists(snapshot);
	});

	test('stock duplicity restores every snapshot', async () => {
		for (const { time, tree } of chain.snapshots) {
			const to = await chain.stockRestore(time);
			references.push(to);
			assertSameTree(describeTree(Buffer.from(to)), tree, `snapshot of ${time} by stock`, { symlinkTimes: false });
		}
	});

	test('the mount shows every snapshot, read at random offsets and from the beginning', async () => {
		const mount = await chain.mount();
		chain.assertFolderNames(mount);
		chain.assertMounted(mount, references);
		await mount.umount();
		for (const reference of references) rmSync(dirname(reference), { recursive: true });
	});

	test('tsdup restores every snapshot with its metadata', () => chain.assertRestores());

	test('tsdup fetches a file and a folder of any snapshot', async () => {
		const [first, , third] = chain.snapshots as [Snapshot, Snapshot, Snapshot];
		await chain.assertFetches('edited', third);
		await chain.assertFetches('dir-to-file', first);
	});

	test('without its cache it is mounted the same, from the target alone', async () => {
		rmSync(join(box.env.XDG_CACHE_HOME as string, 'tsdup'), { recursive: true });
		const mount = await chain.mount();
		chain.assertMounted(mount);
		await mount.umount();
	});
});
