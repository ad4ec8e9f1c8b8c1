/**
 * The keys of a profile: recipients, signatures with passphrases of their own, and keys that travel with the profile. Stock
 * duplicity and gpg judge the signatures.
 */
import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
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
import { importKeys, PASSPHRASE } from './fixtures.js';
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
	const loopback = ['--batch', '--pinentry-mode', 'loopback', '--passphrase', passphrase];
	const args = [...loopback, '--status-fd', '2', '--output', '/dev/null', '--decrypt', path];
	const { status, stderr } = spawnSync('gpg', args, { env: box.env, encoding: 'utf8' });
	assert.equal(status, 0, stderr);
	return /^\[GNUPG:\] GOODSIG ([0-9A-F]{16}) /m.exec(stderr)?.[1] ?? null;
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
