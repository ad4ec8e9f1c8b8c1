/**
 * The keys of a profile: recipients, signatures with passphrases of their own, and keys that travel with the profile. Stock
 * duplicity and gpg judge the signatures.
 */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import {
	appendFileSync,
	cpSync,
	mkdirSync,
	readdirSync,
	readFileSync,
	rmSync,
	statSync,
	writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { duplicity, type Ended, profile, type Sandbox, sandbox, tsdup } from './cli.js';
import { gpgSays, importKeys, PASSPHRASE, unpack } from './fixtures.js';
import { bytesFrom } from './seeded.js';
import { assertSameTree, describeTree } from './tree.js';

const RSA = 'BE0139F7AD67C590';
const ECC = 'CEECE5A728A78B25';
const SIGNER_PASSPHRASE = 'of the signer';

const box = sandbox();
const source = join(box.dir, 'source');
/** Long id of a key that only signs. */
let signer: string;

before(() => {
	importKeys(box);
	signer = newKey('Signer <signer@test.invalid>', SIGNER_PASSPHRASE);
	mkdirSync(source);
	writeFileSync(join(source, 'large'), bytesFrom('large', 2_300_000));
	writeFileSync(join(source, 'small'), 'small');
});
after(() => box.remove());

function newKey(userId: string, passphrase: string): string {
	const loopback = ['--batch', '--quiet', '--pinentry-mode', 'loopback', '--passphrase', passphrase];
	execFileSync('gpg', [...loopback, '--quick-gen-key', userId, 'ed25519', 'sign', 'never'], {
		env: box.env,
		stdio: 'pipe',
	});
	const listing = execFileSync('gpg', ['--with-colons', '--list-keys', userId], {
		env: box.env,
		encoding: 'utf8',
	});
	return /^pub:(?:[^:]*:){3}([0-9A-F]{16}):/m.exec(listing)?.[1] as string;
}

/** @returns the profile's folder */
function setUp(name: string, conf: string): string {
	return profile(box, name, `SOURCE='${source}'\nTARGET='file://${target(name)}'\n${conf}\n`);
}

function target(name: string): string {
	return join(box.dir, `target-${name}`);
}

async function backup(name: string, of: Pick<Sandbox, 'env'> = box): Promise<Ended> {
	const ended = await tsdup(['backup', name], of);
	assert.equal(ended.code, 0, ended.stderr);
	return ended;
}

/** The long id of the key whose good signature gpg finds in an object; null without one. */
function signedBy(path: string, passphrase: string): string | null {
	return /^\[GNUPG:\] GOODSIG ([0-9A-F]{16}) /m.exec(gpgSays(box, path, passphrase))?.[1] ?? null;
}

function signers(name: string, passphrase: string): Set<string | null> {
	const objects = readdirSync(target(name));
	assert.ok(objects.length >= 4);
	return new Set(objects.map((object) => signedBy(join(target(name), object), passphrase)));
}

function stockVerify(name: string, env: NodeJS.ProcessEnv, ...options: string[]): Promise<Ended> {
	return duplicity(
		[
			'verify',
			'--compare-data',
			'--gpg-options',
			'--pinentry-mode loopback',
			...options,
			`file://${target(name)}`,
			source,
		],
		{ env: { ...box.env, ...env } },
	);
}

describe('signatures', () => {
	test('every object is signed; stock checks it with --sign-key, with volumes that go on being read from the middle', async () => {
		setUp(
			'two',
			`GPG_KEYS_ENC='${RSA}, ${ECC}'\nGPG_KEY_SIGN='${signer}'\nGPG_PW='${PASSPHRASE}'\nGPG_PW_SIGN='${SIGNER_PASSPHRASE}'\n` +
				`DUPL_PARAMS="--volsize 1"`,
		);
		await backup('two');
		appendFileSync(join(source, 'large'), bytesFrom('more', 1_200_000));
		await backup('two');
		assert.deepEqual(signers('two', PASSPHRASE), new Set([signer]));

		const good = await stockVerify('two', { PASSPHRASE }, '--sign-key', signer, '--encrypt-key', RSA);
		assert.equal(good.code, 0, good.stderr);
		assert.match(good.stdout, /0 differences found/);

		rmSync(join(box.env.XDG_CACHE_HOME as string, 'tsdup'), { recursive: true });
		const { code, stderr } = await tsdup(['restore', 'two', join(box.dir, 'two')], box);
		assert.equal(code, 0, stderr);
		const [restored, original] = [join(box.dir, 'two'), source].map((root) =>
			describeTree(Buffer.from(root)),
		);
		assertSameTree(restored ?? [], original ?? [], 'restored');
	});

	test('a passphrase and a signature go together', async () => {
		setUp('sym', `GPG_PW='${PASSPHRASE}'\nGPG_KEY_SIGN='${RSA}'`);
		await backup('sym');
		assert.deepEqual(signers('sym', PASSPHRASE), new Set([RSA]));
		const { code, stderr } = await stockVerify(
			'sym',
			{ PASSPHRASE, SIGN_PASSPHRASE: PASSPHRASE },
			'--sign-key',
			RSA,
		);
		assert.equal(code, 0, stderr);
	});

	test('the first key signs by itself when its secret key is there, another does not, and none where that is switched off', async () => {
		setUp('first', `GPG_KEY='${RSA}'\nGPG_PW='${PASSPHRASE}'`);
		await backup('first');
		assert.deepEqual(signers('first', PASSPHRASE), new Set([RSA]));

		setUp('off', `GPG_KEY='${RSA}'\nGPG_PW='${PASSPHRASE}'\nGPG_KEY_SIGN='disabled'`);
		await backup('off');
		assert.deepEqual(signers('off', PASSPHRASE), new Set([null]));

		const home = join(box.dir, 'no-secret');
		mkdirSync(home, { mode: 0o700 });
		const env = { ...box.env, GNUPGHOME: home };
		for (const key of [RSA, ECC]) {
			const exported = execFileSync('gpg', [key === RSA ? '--export' : '--export-secret-keys', key], {
				env: box.env,
			});
			execFileSync('gpg', ['--batch', '--quiet', '--import'], { env, input: exported, stdio: 'pipe' });
		}
		setUp('second', `GPG_KEY='${RSA},${ECC}'\nGPG_PW='${PASSPHRASE}'`);
		await backup('second', { env });
		assert.deepEqual(signers('second', PASSPHRASE), new Set([null]));
		execFileSync('gpgconf', ['--kill', 'all'], { env });
	});

	test('a key that cannot sign ends the run before anything is written, with the reason', async () => {
		execFileSync('gpgconf', ['--kill', 'all'], { env: box.env });
		for (const [name, id, password] of [
			['wrong', signer, 'wrong'],
			['absent', '1111111111111111', PASSPHRASE],
		] as const) {
			setUp(name, `GPG_KEY='${ECC}'\nGPG_KEY_SIGN='${id}'\nGPG_PW_SIGN='${password}'`);
			const { code, stderr } = await tsdup(['backup', name], box);
			assert.equal(code, 6, stderr);
			assert.match(stderr, new RegExp(`cannot sign with key ${id}.*GPG_PW_SIGN`));
			assert.deepEqual(readdirSync(target(name)), []);
		}
	});
});

describe('verify asks for the signatures that a profile makes', () => {
	/** @returns the exit code, and the lines of objects that are not good, without their set's time */
	async function verified(
		name: string,
		env = box.env,
	): Promise<{ code: number; bad: string[]; stderr: string; stdout: string }> {
		const { code, stdout, stderr } = await tsdup(['verify', name], { env });
		const bad = stdout.split('\n').filter((line) => /^[A-Z][a-z]+: /.test(line));
		return {
			code: code ?? -1,
			bad: bad.map((line) => line.replaceAll(/\.\d{8}T\d{6}Z/g, '')),
			stderr,
			stdout,
		};
	}

	test('good ones, of tsdup and of duplicity, are said to be', async () => {
		const own = await verified('two');
		assert.deepEqual([own.code, own.bad], [0, []], own.stderr);
		assert.match(own.stdout, new RegExp(`all good, signed by ${signer}\\.`));
		for (const [name, id] of [
			['pubsign-08', RSA],
			['symsign-08', RSA],
		] as const) {
			const keys = name === 'pubsign-08' ? `GPG_KEY='${RSA}'\n` : '';
			profile(
				box,
				name,
				`SOURCE='${source}'\nTARGET='file://${unpack(box, name)}'\n${keys}GPG_KEY_SIGN='${id}'\nGPG_PW='${PASSPHRASE}'\n`,
			);
			const { code, stdout, stderr } = await verified(name);
			assert.equal(code, 0, stderr + stdout);
			assert.match(stdout, new RegExp(`all good, signed by ${id}\\.`));
		}
	});

	test('what has none, or that of another key, is not good', async () => {
		const parts = ['full.manifest.gpg', '.segment.gpg', 'full-signatures.sigtar.gpg'];
		for (const [name, reason] of [
			['off', 'it has no signature that GnuPG finds good'],
			['first', 'it is by [0-9A-F]{40}'],
		] as const) {
			setUp(name, `GPG_KEY='${RSA}'\nGPG_PW='${PASSPHRASE}'\nGPG_KEY_SIGN='${signer}'`);
			const { code, bad } = await verified(name);
			assert.equal(code, 4);
			assert.equal(bad.length, parts.length, bad.join('\n'));
			for (const line of bad)
				assert.match(line, new RegExp(`^Unsigned: .*: is not signed by ${signer}: ${reason}$`));
		}
	});

	test('a manifest that somebody wrote who can encrypt but not sign is found', async () => {
		const name = readdirSync(target('two')).find((file) =>
			/^duplicity-full\..*manifest/.test(file),
		) as string;
		const path = join(target('two'), name);
		const before = readFileSync(path);
		const loopback = [
			'--batch',
			'--quiet',
			'--yes',
			'--trust-model',
			'always',
			'--pinentry-mode',
			'loopback',
			'--passphrase',
			PASSPHRASE,
		];
		const content = execFileSync('gpg', [...loopback, '--decrypt', path], { env: box.env, stdio: 'pipe' });
		execFileSync('gpg', [...loopback, '--output', path, '--encrypt', '-r', RSA], {
			env: box.env,
			input: content,
		});
		const { code, bad } = await verified('two');
		assert.equal(code, 4);
		assert.equal(bad.length, 1);
		assert.match(bad[0] as string, /^Unsigned: duplicity-full\.manifest\.gpg: /);
		writeFileSync(path, before);
		assert.equal((await verified('two')).code, 0);
	});

	test('where GnuPG lacks the public key that is said, and where no key signs nothing is asked for', async () => {
		const home = join(box.dir, 'without-signer');
		mkdirSync(home, { mode: 0o700 });
		const env = { ...box.env, GNUPGHOME: home };
		const secret = execFileSync(
			'gpg',
			['--batch', '--pinentry-mode', 'loopback', '--passphrase', PASSPHRASE, '--export-secret-keys', RSA],
			{ env: box.env },
		);
		execFileSync('gpg', ['--batch', '--quiet', '--import'], { env, input: secret, stdio: 'pipe' });
		const { code, bad, stderr } = await verified('two', env);
		assert.deepEqual([code, bad], [3, []]);
		assert.match(stderr, new RegExp(`GnuPG does not have the key ${signer}`));
		execFileSync('gpgconf', ['--kill', 'all'], { env });
		setUp('off', `GPG_KEY='${RSA}'\nGPG_PW='${PASSPHRASE}'\nGPG_KEY_SIGN='disabled'`);
		assert.equal((await verified('off')).code, 0);
	});
});

describe('keys in the profile', () => {
	const conf = `GPG_KEY='${RSA},ecc@fixture.invalid'\nGPG_KEY_SIGN='${RSA}'\nGPG_PW='${PASSPHRASE}'`;
	let dir: string;
	const exported = [
		`gpgkey.${RSA}.pub.asc`,
		`gpgkey.${RSA}.sec.asc`,
		'gpgkey.ecc_fixture_invalid.pub.asc',
		'gpgkey.ecc_fixture_invalid.sec.asc',
	];
	const keyFiles = () =>
		readdirSync(dir)
			.filter((name) => name.startsWith('gpgkey'))
			.sort();

	test('after a backup the profile has them, as duply names them and only for its owner; once', async () => {
		dir = setUp('export', `${conf}\nGPG_EXPORT='disabled'`);
		await backup('export');
		assert.deepEqual(keyFiles(), []);
		dir = setUp('export', conf);
		const first = await backup('export');
		assert.match(first.stderr, /Copy the whole folder to a safe place/);
		assert.deepEqual(keyFiles(), exported);
		for (const name of exported) {
			assert.equal(statSync(join(dir, name)).mode & 0o777, 0o600);
			assert.match(
				readFileSync(join(dir, name), 'latin1'),
				/^-----BEGIN PGP (PUBLIC|PRIVATE) KEY BLOCK-----/,
			);
		}
		assert.doesNotMatch((await backup('export')).stderr, /xported/);
	});

	test('a new machine with the profile alone restores, and goes on with the same signature', async () => {
		const other = sandbox();
		try {
			cpSync(dir, join(other.env.TSDUP_PROFILES as string, 'export'), { recursive: true });
			const restored = await tsdup(['restore', 'export', join(other.dir, 'restored')], other);
			assert.equal(restored.code, 0, restored.stderr);
			const keys = () =>
				execFileSync('gpg', ['--list-secret-keys', '--with-colons'], { env: other.env, encoding: 'utf8' });
			assert.doesNotMatch(keys(), /^sec/m, 'a restore leaves the keyring alone');

			const continued = await backup('export', other);
			assert.match(continued.stderr, new RegExp(`secret key ${RSA} was imported`));
			assert.equal(keys().match(/^sec/gm)?.length, 2);
			assert.match(continued.stdout, /^Incremental backup/);
			assert.deepEqual(signers('export', PASSPHRASE), new Set([RSA]));
		} finally {
			other.remove();
		}
	});
});
