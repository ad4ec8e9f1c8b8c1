/** A long chain of backups comes back whole from every reader there is: nothing is lost, altered, or shown wrongly. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { copyFileSync, mkdirSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { assertVolumesAreTars, Chain } from './chain.js';
import { ChainSource } from './chain-source.js';
import { profile, type Sandbox, sandbox, tsdup } from './cli.js';

/** Of the secret key in fixtures/keys, too. */
const PASSPHRASE = 'fixture-passphrase';

/** A zone that is neither UTC nor whole hours from it. */
const TZ = 'Asia/Kolkata';

describe('a chain with a passphrase, a 300 MB file and 20,000 small ones', () => {
	let box: Sandbox;
	let chain: Chain;
	let folder: string;
	let references: Map<number, string>;

	before(async () => {
		box = sandbox();
		Object.assign(box.env, { TZ, PASSPHRASE });
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
		await chain.stock.assertStatus(volumes);
	});

	test('one derivation of the key from the passphrase opens all of its sets', () => {
		const starts = readdirSync(folder).map((name) => readFileSync(join(folder, name)).subarray(0, 48));
		const [S2K, END] = [4, 15];
		assert.equal(new Set(starts.map((start) => start.toString('hex', S2K, END))).size, 1);
		assert.equal(new Set(starts.map((start) => start.toString('hex'))).size, starts.length, 'session keys');
	});

	test('stock duplicity verifies it against the source', () => chain.stock.assertVerifies());

	test('stock duplicity lists every snapshot', () => {
		for (const snapshot of chain.snapshots) chain.stock.assertLists(snapshot);
	});

	test('stock duplicity restores the snapshots with the big file, and the last', async () => {
		references = await chain.stock.assertRestores([0, 1, 2, ChainSource.steps]);
	});

	test('the mount shows every snapshot, read at random offsets and from the beginning', async () => {
		const mount = await chain.mount();
		chain.assertFolderNames(mount);
		chain.assertMounted(mount, references);
		await mount.umount();
		for (const reference of references.values()) rmSync(dirname(reference), { recursive: true });
	});

	test('tsdup restores every snapshot with its metadata', () => chain.assertRestores());

	test('tsdup fetches a file and a folder of any snapshot', async () => {
		await chain.assertFetches('edited', 2);
		await chain.assertFetches('dir-to-file', 0);
	});

	test('without its cache it is mounted the same, from the target alone', () =>
		chain.assertMountsWithoutCache());
});

describe('a chain without encryption', () => {
	let box: Sandbox;
	let chain: Chain;
	let folder: string;

	before(async () => {
		box = sandbox();
		folder = join(box.dir, 'target');
		chain = new Chain({
			sandbox: box,
			name: 'plain',
			conf: `TARGET='file://${folder}'\nGPG_KEY='disabled'\nDUPL_PARAMS='--volsize 1'`,
			scale: { smallFiles: 2000, bigFile: 0 },
			stock: { url: `file://${folder}`, options: ['--no-encryption'] },
		});
		await chain.build();
	});

	after(() => box.remove());

	test('gzip and tar alone open every volume', () => {
		assertVolumesAreTars(folder, box, '');
	});

	test('every snapshot comes back by stock, by the mount and by restore', () => chain.assertComesBack());

	test('stock duplicity continues it', () => chain.stock.assertContinues());
});

describe('a chain to a public key, made by a host that has nothing but this key', () => {
	const KEY = 'BE0139F7AD67C590';
	let writer: Sandbox;
	let reader: Sandbox;
	let chain: Chain;
	let conf: string;
	let folder: string;

	before(async () => {
		writer = sandbox();
		reader = sandbox();
		reader.env.PASSPHRASE = PASSPHRASE;
		importKey(writer, 'rsa.public.asc');
		importKey(reader, 'rsa.secret.asc');
		folder = join(writer.dir, 'target');
		conf = `TARGET='file://${folder}'\nGPG_KEY='${KEY}'\nDUPL_PARAMS='--volsize 5'`;
		const stock = { url: `file://${folder}`, options: ['--encrypt-key', KEY] };
		chain = new Chain({
			sandbox: writer,
			name: 'keys',
			conf,
			scale: { smallFiles: 2000, bigFile: 0 },
			stock,
		});
		profile(reader, 'keys', `${conf}\nSOURCE='/nowhere'\nGPG_PW='${PASSPHRASE}'\n`);
		await chain.build();
		chain.reader = reader;
	});

	after(() => {
		writer.remove();
		reader.remove();
	});

	test('gpg and tar alone open every volume', () => {
		assertVolumesAreTars(folder, reader, PASSPHRASE);
	});

	test('every snapshot comes back with the secret key in the GnuPG keyring', () =>
		chain.assertComesBack([0, 3, ChainSource.steps]));

	test('every snapshot comes back with the secret key in the profile', async () => {
		const home = join(reader.dir, 'no-keyring');
		mkdirSync(home, { mode: 0o700 });
		const dir = profile(reader, 'keys', `${conf}\nSOURCE='/nowhere'\nGPG_PW='${PASSPHRASE}'\n`);
		copyFileSync(keyFile('rsa.secret.asc'), join(dir, `gpgkey.${KEY}.sec.asc`));
		const keyring = chain.reader;
		chain.reader = { ...reader, env: { ...reader.env, GNUPGHOME: home } };
		await chain.assertMountsWithoutCache();
		chain.reader = keyring;
	});

	test('when the writer loses its cache, it says so, starts a new chain, and goes on', async () => {
		rmSync(join(writer.env.XDG_CACHE_HOME as string, 'tsdup'), { recursive: true });
		const refused = await tsdup(['list', 'keys'], writer);
		assert.equal(refused.code, 6, refused.stderr);
		const { stderr } = await chain.backup('full');
		assert.match(stderr, /^The newest backup cannot be built on: this one is a full\.$/m);
		await chain.backup('inc');
		await chain.awaitClock();
		const mount = await chain.mount();
		chain.assertMounted(mount);
		await mount.umount();
	});
});

function importKey({ env }: Sandbox, name: string): void {
	execFileSync('gpg', ['--batch', '--quiet', '--import', keyFile(name)], { env });
}

/** The keys stand beside the sources, not beside what is compiled. */
function keyFile(name: string): string {
	return fileURLToPath(new URL(`../../test/fixtures/keys/${name}`, import.meta.url));
}
