import assert from 'node:assert/strict';
import { execFile, spawn } from 'node:child_process';
import { type CipherOCBTypes, createCipheriv, randomBytes } from 'node:crypto';
import { chmod, copyFile, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { buffer } from 'node:stream/consumers';
import { after, before, test } from 'node:test';
import { setTimeout } from 'node:timers/promises';
import { promisify } from 'node:util';
import * as fc from 'fast-check';
import { DamageError, KeyError, TsdupError, UnsupportedError } from '../src/errors.js';
import { decryptObject, type OpenedMessage } from '../src/openpgp/decrypt-object.js';
import { passphraseEncryptor } from '../src/openpgp/encryptor.js';
import { Gpg } from '../src/openpgp/gpg.js';
import { readSecretKeys } from '../src/openpgp/keyring.js';
import { Opener } from '../src/openpgp/opener.js';
import { definiteLength, newTag } from '../src/openpgp/packets.js';

const run = promisify(execFile);
const fixtures = join(import.meta.dirname, '../../test/fixtures');
const passphrase = 'fixture-passphrase';
const fixtureKeys = { rsa: 'BE0139F7AD67C590', ecc: 'CEECE5A728A78B25', elg: 'E289731153D47E56' };
const object = 'duplicity-full.vol1.difftar.gpg';
const ciphers = [
	['IDEA', 1],
	['3DES', 2],
	['CAST5', 3],
	['BLOWFISH', 4],
	['AES', 7],
	['AES192', 8],
	['AES256', 9],
	['TWOFISH', 10],
	['CAMELLIA128', 11],
	['CAMELLIA192', 12],
	['CAMELLIA256', 13],
] as const;
const withoutMdc = ['--rfc2440', '--disable-mdc'];
const cheap = ['--s2k-count', '1024'];

/** `full` has the fixtures' secret keys in its keyring, `empty` nothing; `profile` has them as duply exports them. */
let folder: string;
let full: string;
let empty: string;
let profile: string;
/** Passphrase, keys of the profile, and a GnuPG without any key. */
let opener: Opener;
/** Part text, part noise, so that every compression has both to do. */
const content = Buffer.concat([Buffer.from('one line of text\n'.repeat(4000)), randomBytes(100_000)]);

before(async () => {
	folder = await mkdtemp(join(tmpdir(), 'tsdup-decrypt-'));
	[full, empty, profile] = [join(folder, 'full'), join(folder, 'empty'), join(folder, 'profile')];
	for (const path of [full, empty, profile]) await mkdir(path, { mode: 0o700 });
	for (const [name, id] of Object.entries(fixtureKeys)) {
		await copyFile(join(fixtures, 'keys', `${name}.secret.asc`), join(profile, `gpgkey.${id}.sec.asc`));
	}
	await gpg(full, ['--import', join(fixtures, 'keys', 'secret.asc')]);
	opener = new Opener({ passphrase, secretKeys: await readSecretKeys(profile), gpg: gpgIn(empty) });
});

after(async () => {
	for (const home of [full, empty]) await run('gpgconf', ['--homedir', home, '--kill', 'all']);
	await rm(folder, { recursive: true });
});

function gpgIn(home: string, ...options: string[]): Gpg {
	return new Gpg('gpg', ['--homedir', home, ...options]);
}

/** What gpg writes to stdout; throws with its stderr when it fails. */
async function gpg(home: string, args: string[], input: Buffer = Buffer.alloc(0)): Promise<Buffer> {
	const common = ['--homedir', home, '--batch', '--no-tty', '--always-trust', '--pinentry-mode', 'loopback'];
	const child = spawn('gpg', [...common, '--passphrase', passphrase, ...args]);
	child.stdin.on('error', () => {});
	child.stdin.end(input);
	const closed = new Promise((resolve) => child.once('close', resolve));
	const [out, err] = await Promise.all([buffer(child.stdout), buffer(child.stderr), closed]);
	if (child.exitCode !== 0) throw new Error(`gpg ${args.join(' ')}: ${err}`);
	return out;
}

const encrypt = (args: string[], plain = content, home = empty) =>
	gpg(home, [...cheap, ...args, '--symmetric'], plain);

async function* cut(message: Buffer, size = 10_000): AsyncGenerator<Buffer> {
	for (let at = 0; at < message.length; at += size) yield message.subarray(at, at + size);
}

async function decrypt(
	message: Buffer,
	by: Opener = opener,
	opened?: (message: OpenedMessage) => void,
): Promise<Buffer> {
	return await buffer(decryptObject(object, () => cut(message), by, opened));
}

/** Two at a time: there may be as many cores. */
async function eachOf<T>(items: readonly T[], work: (item: T) => Promise<void>): Promise<void> {
	const queue = [...items];
	const worker = async () => {
		for (let item = queue.shift(); item !== undefined; item = queue.shift()) await work(item);
	};
	await Promise.all([worker(), worker()]);
}

function packet(tag: number, body: Buffer): Buffer {
	return Buffer.concat([Buffer.from([newTag(tag)]), definiteLength(body.length), body]);
}

function octets(n: number): Buffer {
	const bytes = Buffer.alloc(8);
	bytes.writeBigUInt64BE(BigInt(n));
	return bytes;
}

/** A tag 20 packet in OCB, as RFC 4880bis draft 10, 5.16 says; `size` is the coded size of a chunk. */
function ocbPacket(key: Buffer, plain: Buffer, size: number): Buffer {
	const nonce = randomBytes(15);
	const header = Buffer.from([1, 9, 2, size]);
	const seal = (index: number, bytes: Buffer, ...more: Buffer[]) => {
		const name: CipherOCBTypes = 'aes-256-ocb';
		const changed = Buffer.from(nonce);
		changed.writeBigUInt64BE(nonce.readBigUInt64BE(7) ^ BigInt(index), 7);
		const cipher = createCipheriv(name, key, changed, { authTagLength: 16 });
		cipher.setAAD(Buffer.concat([Buffer.from([0xd4]), header, octets(index), ...more]));
		return Buffer.concat([cipher.update(bytes), cipher.final(), cipher.getAuthTag()]);
	};
	const chunk = 2 ** (size + 6);
	const chunks: Buffer[] = [];
	for (let at = 0; at < plain.length; at += chunk) {
		chunks.push(seal(chunks.length, plain.subarray(at, at + chunk)));
	}
	const last = seal(chunks.length, Buffer.alloc(0), octets(plain.length));
	return packet(20, Buffer.concat([header, nonce, ...chunks, last]));
}

function literal(plain: Buffer): Buffer {
	return packet(11, Buffer.concat([Buffer.from('b\0\0\0\0\0'), plain]));
}

test('OCB objects, and those of a collection with two passphrases, come out as gpg decrypts them', async () => {
	const other = new Opener({ passphrase: 'other-passphrase', gpg: gpgIn(empty) });
	const objects: { path: string; by: Opener; secret: string }[] = [];
	for (const name of ['symsign-08', 'ocb-31', 'twopass-08']) {
		await run('tar', ['-C', folder, '-xf', join(fixtures, `${name}.tar.gz`)]);
		for (const file of await readdir(join(folder, name))) {
			if (!file.endsWith('.gpg')) continue;
			const second = name === 'twopass-08' && file.includes('20231115T221320Z');
			objects.push({
				path: join(folder, name, file),
				by: second ? other : opener,
				secret: second ? 'other-passphrase' : passphrase,
			});
		}
	}
	assert.equal(objects.length, 18);
	await eachOf(objects, async ({ path, by, secret }) => {
		const expected = await gpg(full, ['--passphrase', secret, '--decrypt', path]);
		assert.ok((await decrypt(await readFile(path), by)).equals(expected), path);
	});
});

test('every cipher and every compression of gpg, with and without MDC, is opened, and its session key told', async () => {
	const kinds = [true, false].flatMap((mdc) => [
		...ciphers.map(([name, id]) => ({ name, id, compression: 'zip', mdc })),
		...['zlib', 'bzip2', 'none'].flatMap((compression) => [
			{ name: 'AES256', id: 9, compression, mdc },
			{ name: 'CAST5', id: 3, compression, mdc },
		]),
	]);
	await eachOf(kinds, async ({ name, id, compression, mdc }) => {
		const message = await encrypt([
			...(mdc ? [] : withoutMdc),
			...['--cipher-algo', name, '--compress-algo', compression],
		]);
		const told: OpenedMessage[] = [];
		const plain = await decrypt(message, opener, (opened) => told.push(opened));
		assert.ok(plain.equals(content), `${name} ${compression} ${mdc}`);
		assert.deepEqual(
			told.map(({ sessionKey, authenticated }) => [sessionKey.algorithm, authenticated]),
			[[id, mdc]],
		);
	});
});

test('old ciphers are opened with keys of the profile that GnuPG lacks, and with keys that only GnuPG has', async () => {
	const onlyGpg = new Opener({ passphrase, gpg: gpgIn(full) });
	const recipients = [
		['-r', fixtureKeys.rsa],
		['-r', fixtureKeys.ecc],
		['-r', fixtureKeys.elg],
		['-R', fixtureKeys.ecc],
		['-r', fixtureKeys.elg, '-R', fixtureKeys.rsa],
		['-r', fixtureKeys.rsa, '--sign', '-u', fixtureKeys.rsa],
	];
	const kinds = [
		['--cipher-algo', 'CAST5', '--compress-algo', 'bzip2'],
		['--cipher-algo', '3DES', ...withoutMdc],
		['--cipher-algo', 'TWOFISH', '--armor'],
		['--compress-algo', 'bzip2'],
	];
	await eachOf(
		recipients.map((to, i) => [...(kinds[i % kinds.length] ?? []), ...to, '--encrypt']),
		async (args) => {
			const message = await gpg(full, args, content);
			assert.ok((await decrypt(message)).equals(content), args.join(' '));
			assert.ok((await decrypt(message, onlyGpg)).equals(content), args.join(' '));
		},
	);
	const [rsa] = (await readSecretKeys(profile)).filter(
		(key) => key.getKeyID().toHex() === fixtureKeys.rsa.toLowerCase(),
	);
	assert.ok(rsa);
	for (const to of ['-r', '-R']) {
		const several = ['-r', fixtureKeys.elg, '-R', fixtureKeys.ecc, to, fixtureKeys.rsa];
		const message = await gpg(full, [...several, '--encrypt'], content);
		assert.ok((await decrypt(message, new Opener({ passphrase, secretKeys: [rsa] }))).equals(content), to);
	}
	const camellia = await gpg(
		full,
		['--cipher-algo', 'CAMELLIA256', '-r', fixtureKeys.rsa, '--encrypt'],
		content,
	);
	assert.ok((await decrypt(camellia, onlyGpg)).equals(content));
	const secrets = await readdir(join(empty, 'private-keys-v1.d')).catch(() => []);
	assert.deepEqual(secrets, []);
});

test('a passphrase opens what is also encrypted to a key that is not here', async () => {
	for (const cipher of ['AES256', 'CAST5', 'BLOWFISH']) {
		const args = [...cheap, '--s2k-cipher-algo', cipher, '-r', fixtureKeys.rsa, '--encrypt', '--symmetric'];
		const message = await gpg(full, args, content);
		assert.ok((await decrypt(message, new Opener({ passphrase, gpg: gpgIn(empty) }))).equals(content));
	}
});

test('markers, fillers, armor, old lengths and every digest of the passphrase change nothing', async () => {
	const plain = await encrypt(['--cipher-algo', 'BLOWFISH']);
	const marker = packet(10, Buffer.from('PGP'));
	assert.ok((await decrypt(Buffer.concat([marker, plain, packet(61, randomBytes(50))]))).equals(content));
	const path = join(folder, 'content');
	await writeFile(path, content);
	for (const kind of [[], withoutMdc]) {
		for (const form of [[], ['--armor', '--comment', 'x: y']]) {
			const message = await gpg(empty, [...cheap, ...kind, ...form, '-o', '-', '--symmetric', path]);
			assert.ok((await decrypt(message)).equals(content), [...kind, ...form].join(' '));
		}
	}
	const digests = ['MD5', 'SHA1', 'RIPEMD160', 'SHA224', 'SHA256', 'SHA384', 'SHA512'];
	await eachOf(digests, async (digest) => {
		const mode = String(digests.indexOf(digest) % 2);
		const message = await encrypt(['--s2k-digest-algo', digest, '--s2k-mode', mode, '--cipher-algo', '3DES']);
		assert.ok((await decrypt(message)).equals(content), `${digest} ${mode}`);
	});
});

test('OCB data of every length and chunk size is what gpg decrypts, and none of its bits may change', async () => {
	const { header, sessionKey } = await passphraseEncryptor(passphrase).newMessage();
	for (const length of [0, 1, 57, 58, 120, 121, 122, 130, 2000, 64 * 64, 70_000, 300_000]) {
		for (const size of [0, 1, 10, 16]) {
			if (length > 64 << (size + 6)) continue;
			const plain = content.subarray(0, length);
			const message = Buffer.concat([header, ocbPacket(sessionKey, literal(plain), size)]);
			assert.ok((await decrypt(message)).equals(plain), `${length} ${size}`);
			if (size !== 1)
				assert.ok((await gpg(empty, ['--decrypt'], message)).equals(plain), `${length} ${size}`);
		}
	}
	const known = Object.assign(new Opener({}), {
		sessionKey: async () => ({ algorithm: 9, key: sessionKey }),
	});
	const small = Buffer.concat([header, ocbPacket(sessionKey, literal(content.subarray(0, 150)), 0)]);
	for (let at = header.length; at < small.length; at++) {
		await assert.rejects(decrypt(small.subarray(0, at), known), DamageError, `cut at ${at}`);
		for (const bit of [1, 0x40]) {
			const flipped = Buffer.from(small);
			flipped.writeUInt8(flipped.readUInt8(at) ^ bit, at);
			await assert.rejects(decrypt(flipped, known), TsdupError, `bit ${bit} of octet ${at}`);
		}
	}
});

test('no flipped bit and no cut gives other bytes without an error, when OpenPGP has a checksum', async () => {
	const messages: Buffer[] = [
		await encrypt(['--cipher-algo', 'CAST5', '--compress-algo', 'none']),
		await encrypt(['--cipher-algo', 'TWOFISH', '--compress-algo', 'bzip2']),
		await encrypt(['--cipher-algo', 'AES256', '--compress-algo', 'bzip2']),
		await encrypt(['--cipher-algo', 'AES256', '--compress-algo', 'zip', '--armor']),
	];
	const clean = new Set<string>();
	await eachOf(messages, async (message) => {
		const anywhere = fc.oneof(
			fc.nat(40),
			fc.nat(message.length - 1),
			fc.nat(40).map((n) => message.length - 1 - n),
		);
		await fc.assert(
			fc.asyncProperty(anywhere, fc.nat(7), fc.boolean(), async (at, bit, cutHere) => {
				const changed = Buffer.from(cutHere ? message.subarray(0, at) : message);
				if (!cutHere) changed.writeUInt8(changed.readUInt8(at) ^ (1 << bit), at);
				const outcome = await decrypt(changed).catch((error: Error) => error);
				if (!Buffer.isBuffer(outcome)) {
					assert.ok(outcome instanceof TsdupError, String(outcome));
					assert.ok(outcome.message.startsWith(`${object}: `), outcome.message);
				} else {
					assert.ok(outcome.equals(content));
					clean.add(`${messages.indexOf(message)}`);
				}
			}),
			{ numRuns: 30 },
		);
	});
	// Only armor has characters that mean nothing: line ends, its own checksum, the last newline.
	assert.deepEqual(
		[...clean].filter((index) => index !== '3'),
		[],
	);
});

test('without MDC altered bytes do come through, which is said beforehand; a cut does not', async () => {
	const message = await encrypt(['--cipher-algo', 'CAST5', '--compress-algo', 'none', ...withoutMdc]);
	const altered = Buffer.from(message);
	altered.writeUInt8(altered.readUInt8(100_000) ^ 1, 100_000);
	const told: boolean[] = [];
	const plain = await decrypt(altered, opener, ({ authenticated }) => told.push(authenticated));
	assert.equal(plain.length, content.length);
	assert.ok(!plain.equals(content));
	assert.deepEqual(told, [false]);
	for (const length of [20, 30, 1000, 100_000, message.length - 1]) {
		await assert.rejects(decrypt(message.subarray(0, length)), TsdupError, `${length}`);
	}
});

test('a wrong passphrase is an error of the key that names the object, whatever the cipher', async () => {
	const [ocb] = (await readdir(join(folder, 'ocb-31'))).filter((file) => file.endsWith('.gpg'));
	const messages = [
		await readFile(join(folder, 'ocb-31', ocb ?? '')),
		await encrypt(['--compress-algo', 'bzip2']),
		await encrypt(['--cipher-algo', 'CAST5']),
		await encrypt(['--cipher-algo', 'CAST5', ...withoutMdc]),
		await encrypt(['--cipher-algo', 'IDEA', '--compress-algo', 'none']),
	];
	const wrong = new Opener({ passphrase: 'wrong', gpg: gpgIn(empty) });
	for (const message of messages) {
		await assert.rejects(decrypt(message, wrong), (error: Error) => {
			assert.ok(error instanceof KeyError && error.exit === 6, String(error));
			return error.message.startsWith(`${object}: `);
		});
	}
	const toKey = await gpg(full, ['-r', fixtureKeys.elg, '--cipher-algo', 'CAST5', '--encrypt'], content);
	await assert.rejects(decrypt(toKey, wrong), /difftar\.gpg: No key here opens the message\. It opens with/);
});

test('what not even GnuPG can read is unsupported, and not called damaged', async () => {
	const message = await encrypt(['--cipher-algo', 'IDEA']);
	const cases: [Buffer, Opener][] = [
		[message, new Opener({ passphrase })],
		[message, new Opener({ passphrase, gpg: gpgIn(empty, '--disable-cipher-algo', 'IDEA') })],
		[await encrypt(['--compress-algo', 'bzip2']), new Opener({ passphrase })],
		[
			Buffer.concat([
				packet(3, Buffer.concat([Buffer.from([6]), randomBytes(60)])),
				packet(18, randomBytes(99)),
			]),
			opener,
		],
		[
			Buffer.concat([
				packet(1, Buffer.concat([Buffer.from([6]), randomBytes(60)])),
				packet(18, randomBytes(99)),
			]),
			opener,
		],
	];
	for (const [unknown, by] of cases) {
		await assert.rejects(decrypt(unknown, by), (error: Error) => {
			assert.ok(error instanceof UnsupportedError, String(error));
			return error.message.startsWith(`${object}: `);
		});
	}
	const absent = new Opener({ passphrase, gpg: new Gpg(join(folder, 'no-gpg')) });
	await assert.rejects(decrypt(message, absent), /Install GnuPG/);
});

test('no key stands in the arguments of gpg, and whoever leaves in the middle leaves nothing running', async () => {
	const log = join(folder, 'arguments');
	const spy = join(folder, 'gpg-spy');
	await writeFile(
		spy,
		`#!/bin/sh\nprintf '%s\\n' "pid $$" "$@" >> '${log}'\nexec gpg --homedir '${empty}' "$@"\n`,
	);
	await chmod(spy, 0o700);
	const large = await encrypt(
		['--cipher-algo', 'CAST5', '--compress-algo', 'none'],
		Buffer.alloc(8 << 20, 'x'),
	);
	let key: Buffer = Buffer.alloc(0);
	let closed = false;
	const stored = async function* () {
		try {
			yield* cut(large);
		} finally {
			closed = true;
		}
	};
	const by = new Opener({ passphrase, gpg: new Gpg(spy) });
	for await (const _ of decryptObject(object, stored, by, (opened) => (key = opened.sessionKey.key))) break;
	const seen = await readFile(log, 'utf8');
	assert.match(seen, /--decrypt/);
	assert.doesNotMatch(seen, new RegExp(`${passphrase}|${key.toString('hex')}`, 'i'));
	const pid = Number(/pid (\d+)/.exec(seen)?.[1]);
	for (let tries = 0; tries < 50 && (isRunning(pid) || !closed); tries++) await setTimeout(20);
	assert.ok(!isRunning(pid));
	assert.ok(closed);
});

function isRunning(pid: number): boolean {
	try {
		process.kill(pid, 0);
		return true;
	} catch {
		return false;
	}
}

test('a GnuPG without a home, or that fails by itself, makes no message look damaged', async () => {
	for (const kind of [
		['--cipher-algo', 'CAST5'],
		['--compress-algo', 'bzip2'],
	]) {
		const message = await encrypt(kind);
		const homeless = new Opener({ passphrase, gpg: gpgIn(join(folder, 'no-such-home')) });
		assert.ok((await decrypt(message, homeless)).equals(content));
	}
	const message = await encrypt(['--cipher-algo', 'CAST5']);
	const failing = new Opener({ passphrase, gpg: gpgIn(empty, '--no-such-option') });
	await assert.rejects(decrypt(message, failing), (error: Error) => {
		return error instanceof TsdupError && error.exit === 1 && /GnuPG failed/.test(error.message);
	});
});

test('an error of the storage comes out as it is', async () => {
	for (const kind of [['--cipher-algo', 'CAST5'], ['--compress-algo', 'bzip2'], withoutMdc]) {
		const message = await encrypt(kind);
		const failure = new DamageError('the stored object is not what its manifest says');
		const stored = async function* () {
			yield message.subarray(0, message.length - 10);
			throw failure;
		};
		await assert.rejects(buffer(decryptObject(object, stored, opener)), (error) => error === failure);
	}
});
