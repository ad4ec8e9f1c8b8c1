import assert from 'node:assert/strict';
import { execFile, spawn } from 'node:child_process';
import { createCipheriv, createHash, randomBytes } from 'node:crypto';
import { chmod, copyFile, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { buffer } from 'node:stream/consumers';
import { after, before, test } from 'node:test';
import { promisify } from 'node:util';
import { deflateRawSync } from 'node:zlib';
import * as fc from 'fast-check';
import * as openpgp from 'openpgp';
import { DamageError, KeyError, TsdupError } from '../src/errors.js';
import { type Encryptor, passphraseEncryptor, publicKeyEncryptor } from '../src/openpgp/encryptor.js';
import { Gpg } from '../src/openpgp/gpg.js';
import { findPublicKeys, readSecretKeys } from '../src/openpgp/keyring.js';
import { readMessage } from '../src/openpgp/message.js';
import { Opener } from '../src/openpgp/opener.js';
import { definiteLength, fiveOctetLength, newTag, partialLength } from '../src/openpgp/packets.js';
import { writeSkesk } from '../src/openpgp/skesk.js';

const run = promisify(execFile);
const fixtures = join(import.meta.dirname, '../../test/fixtures');
const passphrase = 'fixture-passphrase';
const fixtureKeys = { rsa: 'BE0139F7AD67C590', ecc: 'CEECE5A728A78B25', elg: 'E289731153D47E56' };
const RSA_SUBKEY = '4A7C79D1C9A99D0C';

/** `full` has the fixtures' secret keys in its keyring, `empty` nothing; `profile` has them as duply exports them. */
let folder: string;
let full: string;
let empty: string;
let profile: string;

before(async () => {
	folder = await mkdtemp(join(tmpdir(), 'tsdup-openpgp-'));
	[full, empty, profile] = [join(folder, 'full'), join(folder, 'empty'), join(folder, 'profile')];
	for (const path of [full, empty, profile]) await mkdir(path, { mode: 0o700 });
	for (const [name, id] of Object.entries(fixtureKeys)) {
		await copyFile(join(fixtures, 'keys', `${name}.public.asc`), join(profile, `gpgkey.${id}.pub.asc`));
		await copyFile(join(fixtures, 'keys', `${name}.secret.asc`), join(profile, `gpgkey.${id}.sec.asc`));
	}
	await gpg(full, ['--import', join(fixtures, 'keys', 'secret.asc')]);
});

after(async () => {
	for (const home of [full, empty]) await run('gpgconf', ['--homedir', home, '--kill', 'all']);
	await rm(folder, { recursive: true });
});

/** What gpg writes to stdout; throws with its stderr when it fails. */
async function gpg(home: string, args: string[], input: Buffer = Buffer.alloc(0)): Promise<Buffer> {
	const common = ['--homedir', home, '--batch', '--no-tty', '--always-trust', '--pinentry-mode', 'loopback'];
	const child = spawn('gpg', [...common, '--passphrase', passphrase, ...args]);
	child.stdin.on('error', () => {});
	child.stdin.end(input);
	const [out, err] = await Promise.all([buffer(child.stdout), buffer(child.stderr)]);
	if (child.exitCode === null) await new Promise((resolve) => child.once('close', resolve));
	if (child.exitCode !== 0) throw new Error(`gpg ${args.join(' ')}: ${err}`);
	return out;
}

function packet(tag: number, body: Buffer): Buffer {
	return Buffer.concat([Buffer.from([newTag(tag)]), definiteLength(body.length), body]);
}

function literal(content: Buffer): Buffer {
	return packet(11, Buffer.concat([Buffer.from('b\0\0\0\0\0'), content]));
}

/** SEIPDv1 round `packets`, as RFC 9580 5.13.1 says. */
function seipd(sessionKey: Buffer, packets: Buffer): Buffer {
	const random = randomBytes(16);
	const plain = Buffer.concat([random, random.subarray(14), packets, Buffer.from([0xd3, 0x14])]);
	const mdc = createHash('sha1').update(plain).digest();
	const cipher = createCipheriv('aes-256-cfb', sessionKey, Buffer.alloc(16));
	return packet(18, Buffer.concat([Buffer.from([1]), cipher.update(plain), cipher.update(mdc)]));
}

async function write(encryptor: Encryptor, packets: Buffer): Promise<Buffer> {
	const { header, sessionKey } = await encryptor.newMessage();
	return Buffer.concat([header, seipd(sessionKey, packets)]);
}

async function* cut(message: Buffer, size: number): AsyncGenerator<Buffer> {
	for (let at = 0; at < message.length; at += size) yield message.subarray(at, at + size);
}

type KeySource = Pick<Opener, 'sessionKey'>;

async function read(message: Buffer, opener: KeySource, chunk = 65536): Promise<Buffer> {
	const pieces: Buffer[] = [];
	for await (const piece of readMessage(cut(message, chunk), (header) => opener.sessionKey(header))) {
		pieces.push(piece);
	}
	return Buffer.concat(pieces);
}

/** A message of our own with a key that is simply known, for tests of everything behind the key. */
const knownKey = randomBytes(32);
const known: KeySource = { sessionKey: async () => ({ algorithm: 9, key: knownKey }) };
function knownMessage(packets: Buffer): Buffer {
	return Buffer.concat([packet(1, Buffer.from('any')), seipd(knownKey, packets)]);
}

const content = Buffer.from('The quick brown fox jumps over the lazy dog.\n'.repeat(3));

test('packet lengths are the ones of RFC 9580', () => {
	assert.equal(definiteLength(100).toString('hex'), '64');
	assert.equal(definiteLength(191).toString('hex'), 'bf');
	assert.equal(definiteLength(192).toString('hex'), 'c000');
	assert.equal(definiteLength(1723).toString('hex'), 'c5fb');
	assert.equal(definiteLength(8383).toString('hex'), 'dfff');
	assert.equal(definiteLength(8384).toString('hex'), 'ff000020c0');
	assert.equal(fiveOctetLength(100000).toString('hex'), 'ff000186a0');
	assert.equal(partialLength(20), 0xf4);
	assert.equal(newTag(18), 0xd2);
});

test('gpg opens what a passphrase encrypted, and sees exactly one passphrase packet', async () => {
	const encryptor = passphraseEncryptor(passphrase);
	const messages = await Promise.all([
		write(encryptor, literal(content)),
		write(encryptor, literal(content)),
	]);
	for (const message of messages) {
		assert.deepEqual(await gpg(empty, ['--decrypt'], message), content);
		const listing = (await gpg(empty, ['--list-packets'], message)).toString();
		assert.equal(
			listing.match(/:symkey enc packet: version 4, cipher 9, .*s2k 3, hash 8, seskey 256/g)?.length,
			1,
		);
	}
	assert.notDeepEqual(messages[0], messages[1]);
});

test('what goes on with the salt of a message before is opened by the same derivation, and by gpg', async () => {
	const opener = new Opener({ passphrase });
	const before = (await passphraseEncryptor(passphrase).newMessage()).header;
	const wrapping = await opener.wrapping(before);
	assert.ok(wrapping);
	const encryptor = passphraseEncryptor(passphrase);
	encryptor.goOnWith?.(wrapping);
	const message = await write(encryptor, literal(content));
	const [S2K, END] = [4, 15];
	assert.deepEqual(message.subarray(S2K, END), before.subarray(S2K, END));
	assert.notDeepEqual(message.subarray(END, before.length), before.subarray(END), 'another session key');
	assert.deepEqual(await read(message, opener), content);
	assert.deepEqual(await gpg(empty, ['--decrypt'], message), content);
});

test('no other salt is gone on with than one that was written like this', async () => {
	const opener = new Opener({ passphrase });
	const few = { specifier: Buffer.from([3, 8, 1, 2, 3, 4, 5, 6, 7, 8, 0x60]), key: randomBytes(32) };
	const quick = writeSkesk(few, { algorithm: 9, key: randomBytes(32) });
	const byGpg = await gpg(
		empty,
		['--symmetric', '--cipher-algo', 'AES256', '--s2k-digest-algo', 'SHA256'],
		content,
	);
	const bare = byGpg.subarray(0, 15);
	// Version 5, of gpg 2.3 and later: cipher, OCB, S2K, nonce, key, tag.
	const ofOcb = packet(
		3,
		Buffer.concat([Buffer.from([5, 9, 2, 3, 8]), randomBytes(8), Buffer.from([0xff]), randomBytes(63)]),
	);
	for (const header of [quick, bare, ofOcb]) assert.equal(await opener.wrapping(header), null);
	assert.equal(await new Opener({}).wrapping(quick), null);
	const forKey = await publicKeyEncryptor(
		await findPublicKeys([fixtureKeys.rsa], profile, new Gpg()),
	).newMessage();
	assert.equal(await opener.wrapping(forKey.header), null);
});

test('gpg opens what was encrypted to RSA, cv25519 and ElGamal keys, each alone and all together', async () => {
	const ids = Object.values(fixtureKeys);
	for (const recipients of [...ids.map((id) => [id]), ids]) {
		const keys = await findPublicKeys(recipients, profile, new Gpg('gpg', ['--homedir', empty]));
		const message = await write(publicKeyEncryptor(keys), literal(content));
		assert.deepEqual(await gpg(full, ['--decrypt'], message), content);
	}
});

test('what was encrypted is opened by the passphrase, by keys in the profile, and by keys only gpg has', async () => {
	const bySymmetric = await write(passphraseEncryptor(passphrase), literal(content));
	assert.deepEqual(await read(bySymmetric, new Opener({ passphrase })), content);
	const openers = [
		new Opener({ passphrase, secretKeys: await readSecretKeys(profile) }),
		new Opener({ passphrase, gpg: new Gpg('gpg', ['--homedir', full]) }),
	];
	for (const id of Object.values(fixtureKeys)) {
		const keys = await findPublicKeys([id], profile, new Gpg('gpg', ['--homedir', empty]));
		const message = await write(publicKeyEncryptor(keys), literal(content));
		for (const opener of openers) assert.deepEqual(await read(message, opener), content);
	}
});

test('of a passphrase of several lines the first one counts, as for gpg', async () => {
	const message = await write(passphraseEncryptor(`${passphrase}\nmore`), literal(content));
	assert.deepEqual(await gpg(empty, ['--decrypt'], message), content);
});

test('messages that gpg made with a passphrase are opened, whatever its options', async () => {
	const variants = [
		[],
		...['SHA1', 'RIPEMD160', 'SHA256', 'SHA512'].map((digest) => ['--s2k-digest-algo', digest]),
		...['0', '1', '3'].map((mode) => ['--s2k-mode', mode]),
		['--s2k-mode', '3', '--s2k-count', '1024'],
		...['AES', 'AES192', 'AES256'].map((cipher) => ['--cipher-algo', cipher]),
		...['none', 'zip', 'zlib'].map((algorithm) => ['--compress-algo', algorithm]),
		['--sign', '-u', fixtureKeys.ecc],
	];
	const large = Buffer.concat([content, randomBytes(100_000), Buffer.alloc(300_000), content]);
	const opener = new Opener({ passphrase });
	await Promise.all(
		variants.map(async (options) => {
			const message = await gpg(full, [...options, '--symmetric'], large);
			assert.deepEqual(await read(message, opener, 777), large, options.join(' '));
		}),
	);
});

test('messages that gpg made for keys are opened, also for hidden recipients', async () => {
	const secretKeys = await readSecretKeys(profile);
	const openers = [
		new Opener({ passphrase, secretKeys }),
		new Opener({ passphrase, gpg: new Gpg('gpg', ['--homedir', full]) }),
	];
	const { rsa, ecc, elg } = fixtureKeys;
	for (const recipients of [
		['-r', rsa],
		['-r', ecc],
		['-R', ecc, '-r', elg],
		['-R', rsa],
	]) {
		const message = await gpg(full, [...recipients, '--encrypt'], content);
		for (const opener of openers)
			assert.deepEqual(await read(message, opener), content, recipients.join(' '));
	}
});

test('volumes, sigtars and manifests of duplicity come out as gpg decrypts them', async () => {
	const opener = new Opener({ passphrase, secretKeys: await readSecretKeys(profile) });
	let compared = 0;
	for (const name of ['sym-08', 'sym-31', 'pubsign-08', 'ecc-08', 'hidden-08', 'symsign-08', 'nocomp-08']) {
		await run('tar', ['-C', folder, '-xf', join(fixtures, `${name}.tar.gz`)]);
		const files = (await readdir(join(folder, name))).filter((file) => file.endsWith('.gpg')).sort();
		await Promise.all(
			files.slice(0, 3).map(async (file) => {
				const path = join(folder, name, file);
				const expected = await gpg(full, ['--decrypt', path]);
				assert.deepEqual(await read(await readFile(path), opener), expected, `${name}/${file}`);
				compared++;
			}),
		);
	}
	assert.ok(compared >= 20);
});

test('a wrong passphrase is an error of the key, with exit code 6', async () => {
	const ours = await write(passphraseEncryptor(passphrase), literal(content));
	const theirs = await gpg(empty, ['--symmetric'], content);
	const toKey = await gpg(full, ['-r', fixtureKeys.rsa, '--encrypt'], content);
	const wrong = new Opener({ passphrase: 'wrong', secretKeys: await readSecretKeys(profile) });
	for (const message of [ours, theirs, toKey]) {
		await assert.rejects(read(message, wrong), (error) => error instanceof KeyError && error.exit === 6);
	}
	await assert.rejects(read(ours, new Opener({})), /GPG_PW/);
	await assert.rejects(read(toKey, wrong), /does not unlock secret key BE0139F7AD67C590/);
	assert.throws(() => passphraseEncryptor(''), KeyError);
});

test('a missing key is named, a hidden recipient as such', async () => {
	const gpgWithout = new Gpg('gpg', ['--homedir', empty]);
	const message = await gpg(full, ['-r', fixtureKeys.rsa, '-R', fixtureKeys.ecc, '--encrypt'], content);
	for (const opener of [new Opener({}), new Opener({ passphrase, gpg: gpgWithout })]) {
		await assert.rejects(read(message, opener), (error: Error) => {
			assert.ok(error instanceof KeyError);
			assert.match(error.message, new RegExp(`${RSA_SUBKEY} or a hidden recipient`));
			return true;
		});
	}
});

test('passphrases and session keys stay out of arguments and error messages', async () => {
	const log = join(folder, 'arguments');
	const spy = join(folder, 'gpg-spy');
	await writeFile(spy, `#!/bin/sh\nprintf '%s\\n' "$@" >> '${log}'\nexec gpg --homedir '${full}' "$@"\n`);
	await chmod(spy, 0o700);
	const message = await gpg(full, ['-r', fixtureKeys.rsa, '--encrypt'], content);
	assert.deepEqual(await read(message, new Opener({ passphrase, gpg: new Gpg(spy) })), content);
	const seen = await readFile(log, 'utf8');
	assert.match(seen, /--decrypt/);
	assert.doesNotMatch(seen, new RegExp(passphrase));
	await assert.rejects(
		new Gpg(spy).sessionKey(packet(1, Buffer.from('garbage')), passphrase),
		(error: Error) => {
			return error instanceof KeyError && !error.message.includes(passphrase);
		},
	);
	await assert.rejects(new Gpg(join(folder, 'no-gpg')).exportPublic('x'), /Install GnuPG/);
});

test('a flipped bit anywhere never gives other bytes without an error', async () => {
	const encryptor = passphraseEncryptor(passphrase);
	const compressed = packet(8, Buffer.concat([Buffer.from([1]), deflateRawSync(literal(content))]));
	const opener = new Opener({ passphrase });
	const { header } = await encryptor.newMessage();
	for (const [packets, from] of [
		[literal(content), 0],
		[compressed, header.length],
	] as const) {
		const message = await write(encryptor, packets);
		for (let bit = from * 8; bit < message.length * 8; bit++) {
			const flipped = Buffer.from(message);
			flipped.writeUInt8(flipped.readUInt8(bit >> 3) ^ (1 << (bit & 7)), bit >> 3);
			const outcome = await read(flipped, opener).catch((error: Error) => error);
			if (outcome instanceof Error) assert.ok(outcome instanceof TsdupError, `bit ${bit}: ${outcome.stack}`);
			else assert.deepEqual(outcome, content, `bit ${bit}`);
		}
	}
});

test('a message cut off at any byte is damage', async () => {
	const message = await write(passphraseEncryptor(passphrase), literal(content));
	const opener = new Opener({ passphrase });
	for (let length = 0; length < message.length; length++) {
		await assert.rejects(read(message.subarray(0, length), opener), DamageError, `${length} bytes`);
	}
});

test('every chunking and every kind of length gives the same bytes', async () => {
	const data = randomBytes(3000);
	const partial = Buffer.concat([
		Buffer.from([newTag(11), partialLength(9)]),
		Buffer.from('b\x03abc\0\0\0\0'),
		data.subarray(0, 512 - 9),
		Buffer.from([partialLength(0)]),
		data.subarray(503, 504),
		fiveOctetLength(3000 - 504),
		data.subarray(504),
	]);
	const oldFormat = Buffer.concat([Buffer.from([0xad, 0x0b, 0xbe]), Buffer.from('b\0\0\0\0\0'), data]);
	const indeterminate = Buffer.concat([Buffer.from([0xa3, 1]), deflateRawSync(oldFormat)]);
	const filler = Buffer.concat([packet(10, Buffer.from('PGP')), packet(61, randomBytes(300))]);
	for (const packets of [literal(data), partial, oldFormat, indeterminate]) {
		const message = Buffer.concat([filler, knownMessage(Buffer.concat([filler, packets])), filler]);
		for (const chunk of [1, 2, 17, 1000, 65536]) assert.deepEqual(await read(message, known, chunk), data);
	}
});

test('whatever stock gpg refuses round or inside a message is damage', async () => {
	const good = literal(content);
	const bad: [string, Buffer][] = [
		['nothing', Buffer.alloc(0)],
		['text', Buffer.from('-----BEGIN PGP MESSAGE-----')],
		['not encrypted', good],
		['two messages', Buffer.concat([knownMessage(good), knownMessage(good)])],
		['loose bytes after', Buffer.concat([knownMessage(good), Buffer.from('x')])],
		['two literals', knownMessage(Buffer.concat([good, good]))],
		['no literal', knownMessage(Buffer.alloc(0))],
		['literal shorter than its header', knownMessage(packet(11, Buffer.from('b\x09')))],
		['literal cut off', knownMessage(good.subarray(0, -1))],
		[
			'loose compressed bytes',
			knownMessage(Buffer.concat([Buffer.from([0xa3, 1]), deflateRawSync(good), good])),
		],
		['compressed garbage', knownMessage(packet(8, Buffer.concat([Buffer.from([1]), randomBytes(99)])))],
		['length past the end', Buffer.concat([Buffer.from([newTag(18)]), fiveOctetLength(0xffffffff), content])],
		['endless header', Buffer.concat(Array(100).fill(packet(1, randomBytes(1000))))],
	];
	for (const [name, message] of bad) await assert.rejects(read(message, known), DamageError, name);
	let nested = good;
	for (let i = 0; i < 8; i++) nested = packet(8, Buffer.concat([Buffer.from([0]), nested]));
	await assert.rejects(read(knownMessage(nested), known), /compressed too many times/);
	const manyPassphrases = Buffer.concat(
		Array(9).fill(packet(3, Buffer.from('04090308ffffffffffffffffff', 'hex'))),
	);
	await assert.rejects(new Opener({ passphrase }).sessionKey(manyPassphrases), /too many passphrases/);
});

test('garbage, also under a right key and checksum, ends in content or in an error for people', async () => {
	const packets = Buffer.concat([
		packet(4, randomBytes(13)),
		packet(8, Buffer.concat([Buffer.from([1]), deflateRawSync(literal(content))])),
		packet(2, randomBytes(60)),
	]);
	const edits = fc.array(fc.tuple(fc.nat(packets.length - 1), fc.nat(255)), { minLength: 1, maxLength: 4 });
	await fc.assert(
		fc.asyncProperty(edits, fc.boolean(), async (changes, inside) => {
			const edited = Buffer.from(inside ? packets : knownMessage(packets));
			for (const [at, octet] of changes) edited.writeUInt8(octet, at);
			const message = inside ? knownMessage(edited) : edited;
			const outcome = await read(message, known).catch((error: Error) => error);
			assert.ok(outcome instanceof TsdupError || Buffer.isBuffer(outcome), String(outcome));
		}),
		{ numRuns: 1000 },
	);
	const header = fc.uint8Array({ maxLength: 60 });
	const opener = new Opener({ passphrase, secretKeys: await readSecretKeys(profile) });
	await fc.assert(
		fc.asyncProperty(fc.constantFrom(1, 3), fc.constantFrom(3, 4), header, async (tag, version, bytes) => {
			const raw = packet(tag, Buffer.concat([Buffer.from([version]), bytes]));
			const outcome = await opener.sessionKey(raw).catch((error: Error) => error);
			assert.ok(outcome instanceof TsdupError || !(outcome instanceof Error), String(outcome));
		}),
		{ numRuns: 300 },
	);
});

test('a message that inflates a thousandfold is read in bounded memory, and can be left in the middle', async () => {
	const size = 300 << 20;
	const zeros = Buffer.concat([
		Buffer.from([newTag(11)]),
		fiveOctetLength(size + 6),
		Buffer.from('b\0\0\0\0\0'),
		Buffer.alloc(size),
	]);
	const message = knownMessage(
		packet(8, Buffer.concat([Buffer.from([1]), deflateRawSync(zeros, { level: 1 })])),
	);
	const before = process.memoryUsage.rss();
	let most = 0;
	let read = 0;
	for await (const piece of readMessage(cut(message, 65536), known.sessionKey)) {
		read += piece.length;
		most = Math.max(most, process.memoryUsage.rss());
	}
	assert.equal(read, size);
	assert.ok(most - before < 100 << 20, `${most - before} bytes more`);

	let closed = false;
	const source = (async function* () {
		try {
			yield* cut(message, 4096);
		} finally {
			closed = true;
		}
	})();
	for await (const _ of readMessage(source, known.sessionKey)) break;
	assert.ok(closed);
});

test('an error of the storage comes out unchanged', async () => {
	const message = knownMessage(
		packet(8, Buffer.concat([Buffer.from([1]), deflateRawSync(literal(content))])),
	);
	const broken = (async function* () {
		yield message.subarray(0, 60);
		throw new RangeError('unreachable');
	})();
	await assert.rejects(buffer(readMessage(broken, known.sessionKey)), RangeError);
});

test('public keys are found by every form of id, in the keyring and in the profile', async () => {
	const fingerprint = '50CAE12AB6FDB81A2F748496BE0139F7AD67C590';
	const ids = [
		'AD67C590',
		'0xad67c590',
		fixtureKeys.rsa,
		fingerprint,
		`0x${fingerprint}`,
		RSA_SUBKEY,
		'rsa@fixture.invalid',
		'Fixture RSA',
	];
	for (const [home, dir] of [
		[full, undefined],
		[empty, profile],
	] as const) {
		for (const id of ids) {
			const keys = await findPublicKeys([id], dir, new Gpg('gpg', ['--homedir', home]));
			assert.deepEqual(
				keys.map((key) => key.getFingerprint().toUpperCase()),
				[fingerprint],
				`${id} in ${dir ?? home}`,
			);
			assert.equal(keys[0]?.isPrivate(), false);
		}
	}
	const twice = await findPublicKeys(
		['ecc@fixture', 'rsa@fixture', 'Fixture RSA'],
		profile,
		new Gpg('no-gpg'),
	);
	assert.deepEqual(
		twice.map((key) => key.getKeyID().toHex().toUpperCase()),
		[fixtureKeys.ecc, fixtureKeys.rsa],
	);
});

test('a key that is missing, expired, revoked or cannot encrypt is an error that says so', async () => {
	const dir = join(folder, 'bad-keys');
	await mkdir(dir);
	const date = new Date('2020-01-01');
	const expired = await openpgp.generateKey({
		userIDs: { name: 'expired' },
		date,
		keyExpirationTime: 86400,
	});
	const revoked = await openpgp.generateKey({ userIDs: { name: 'revoked' }, date });
	const { publicKey: revokedKey } = await openpgp.revokeKey({
		key: await openpgp.readKey({ armoredKey: revoked.publicKey }),
		revocationCertificate: revoked.revocationCertificate,
	});
	const signing = await openpgp.generateKey({
		userIDs: { name: 'signing' },
		date,
		subkeys: [{ sign: true }],
	});
	await writeFile(join(dir, 'gpgkey.1.pub.asc'), expired.publicKey);
	await writeFile(join(dir, 'gpgkey.2.pub.asc'), `${revokedKey}\n${signing.publicKey}`);
	await writeFile(join(dir, 'gpgkey.3.pub.asc'), expired.publicKey.replaceAll(/^[a-z0-9+/]{20}/gim, ''));

	const find = (id: string) => findPublicKeys([id], dir, new Gpg('gpg', ['--homedir', empty]));
	const refused = (id: string, reason: RegExp) =>
		assert.rejects(find(id), (error: Error) => {
			assert.ok(error instanceof KeyError);
			assert.match(error.message, new RegExp(`${id}`));
			assert.match(error.message, reason);
			return true;
		});
	await refused('expired', /expired/);
	await refused('revoked', /revoked/);
	await refused('signing', /Could not find valid encryption key/);
	await refused('DEADBEEF', /not in the GnuPG keyring, not in .*bad-keys\/gpgkey/);
	await refused('DEADBEEF', /gpgkey\.3\.pub\.asc/);
	await assert.rejects(find(' '), KeyError);
});
