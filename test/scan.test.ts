/** Messages that gpg wrote are read from the middle: every frame by itself gives what gpg was given. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test, { after } from 'node:test';
import { DamageError, TargetError } from '../src/errors.js';
import { Opener } from '../src/openpgp/opener.js';
import { Scan } from '../src/volume/scan.js';
import { decodeSeekFrame } from '../src/volume/seek-reader.js';
import { PASSPHRASE } from './fixtures.js';
import { bytesFrom, random } from './seeded.js';

const home = mkdtempSync(join(tmpdir(), 'tsdup-scan-'));
const keys = join(import.meta.dirname, '../../test/fixtures/keys/secret.asc');
gpg(Buffer.alloc(0), '--import', keys);
after(() => {
	execFileSync('gpgconf', ['--homedir', home, '--kill', 'all']);
	rmSync(home, { recursive: true, force: true });
});

const opener = new Opener({ passphrase: PASSPHRASE });

function gpg(input: Buffer, ...options: string[]): Buffer {
	const common = ['--homedir', home, '--batch', '--always-trust', '--pinentry-mode', 'loopback'];
	const args = [...common, '--passphrase', PASSPHRASE, '--s2k-count', '1024', ...options];
	return execFileSync('gpg', args, { input, maxBuffer: 2 ** 28, stdio: ['pipe', 'pipe', 'ignore'] });
}

function encrypted(content: Buffer, ...options: string[]): Buffer {
	return gpg(content, ...options, '--symmetric');
}

/** Chunks of lengths that fit to nothing. */
async function* inChunks(bytes: Buffer): AsyncGenerator<Buffer, void> {
	const next = random(String(bytes.length));
	for (let at = 0; at < bytes.length; ) {
		const length = 1 + Math.floor(next() ** 4 * 300_000);
		yield bytes.subarray(at, at + length);
		at += length;
	}
}

interface Scanned {
	readonly scan: Scan;
	readonly content: Buffer;
}

async function scanned(message: Buffer): Promise<Scanned | null> {
	const opened = await Scan.open(inChunks(message), opener);
	if (!opened) return null;
	const pieces: Buffer[] = [];
	for await (const piece of opened.tar) pieces.push(Buffer.from(piece));
	return { scan: opened.scan, content: Buffer.concat(pieces) };
}

/** Text that compresses as sources do, with stretches that do not compress at all and some that vanish. */
function mixed(length: number): Buffer {
	const next = random(`mixed ${length}`);
	const words = Array.from({ length: 4000 }, (_, i) => `${bytesFrom(`word ${i}`, 6).toString('base64')} `);
	const pieces: Buffer[] = [];
	for (let made = 0; made < length; ) {
		const kind = next();
		const size = 1 + Math.floor(next() * 700_000);
		let piece = kind < 0.2 ? bytesFrom(String(made), size) : Buffer.alloc(size);
		if (kind >= 0.4) {
			let text = '';
			while (text.length < size) text += words[Math.floor(next() ** 3 * words.length)];
			piece = Buffer.from(text);
		}
		pieces.push(piece);
		made += piece.length;
	}
	return Buffer.concat(pieces, length);
}

const FORMS: readonly (readonly [string, readonly string[]])[] = [
	['as duplicity asks for it', []],
	['ZLIB', ['--compress-algo', 'zlib']],
	['ZIP, fastest', ['--compress-algo', 'zip', '-z', '1']],
	['AES-128', ['--cipher-algo', 'AES128', '-z', '9']],
	['AES-192', ['--cipher-algo', 'AES192']],
	['signed', ['--sign', '--local-user', 'BE0139F7AD67C590']],
	['to a key', ['--encrypt', '--recipient', 'BE0139F7AD67C590']],
];

for (const [name, options] of FORMS) {
	test(`read from the middle: ${name}`, async () => {
		for (const length of [1, 100, 5000, 20_000_000]) {
			const content = mixed(length);
			const message = encrypted(content, ...options);
			const { scan, content: whole } = (await scanned(message)) ?? assert.fail('not scanned');
			assert.ok(whole.equals(content));
			assert.equal(scan.tarLength, length);
			assert.ok(scan.frames.length >= length / 6_000_000);
			let at = 0;
			for (const frame of scan.frames) {
				assert.equal(frame.tarOffset, at);
				const bytes = message.subarray(frame.offset, frame.offset + frame.length);
				const tar = await decodeSeekFrame('a volume', scan.key, frame, bytes);
				assert.ok(tar.equals(content.subarray(at, at + frame.tarLength)), `${length}, frame at ${at}`);
				at += frame.tarLength;
			}
			assert.equal(at, length);
		}
	});
}

test('content that hardly takes any room', async () => {
	const content = Buffer.alloc(60_000_000);
	const message = encrypted(content);
	const { scan } = (await scanned(message)) ?? assert.fail('not scanned');
	for (const frame of scan.frames) {
		const bytes = message.subarray(frame.offset, frame.offset + frame.length);
		const tar = await decodeSeekFrame('a volume', scan.key, frame, bytes);
		assert.ok(tar.equals(content.subarray(0, frame.tarLength)));
	}
});

test('other forms are left to the general way', async () => {
	const content = mixed(1_000_000);
	for (const options of [
		['--compress-algo', 'bzip2'],
		['--compress-algo', 'none'],
		['--cipher-algo', '3DES'],
	]) {
		assert.equal(await scanned(encrypted(content, ...options)), null, options.join(' '));
	}
	assert.equal(await scanned(encrypted(content, '--armor')), null);
	assert.equal(await scanned(gpg(content, '--store')), null);
	assert.equal(await scanned(content), null);
	assert.equal(await scanned(Buffer.alloc(0)), null);
	const stranger = new Opener({ passphrase: 'another' });
	assert.equal(await Scan.open(inChunks(encrypted(content)), stranger), null);
});

test('a message that was altered or cut off is refused, wherever', async () => {
	const message = encrypted(mixed(3_000_000));
	const next = random('damage');
	const results: string[] = [];
	for (let i = 0; i < 60; i++) {
		const at = Math.floor(next() * message.length);
		const altered = Buffer.from(message);
		altered[at] = (altered[at] as number) ^ (1 << Math.floor(next() * 8));
		for (const bytes of [altered, message.subarray(0, at)]) {
			const result = await scanned(bytes).then(
				(found) => (found === null ? 'left to the general way' : `let through: byte ${at}`),
				(error) => (error instanceof DamageError ? 'refused' : String(error)),
			);
			results.push(result);
		}
	}
	assert.deepEqual(
		new Set(results.filter((result) => result !== 'left to the general way')),
		new Set(['refused']),
	);
	const more = Buffer.concat([message, Buffer.from('more')]);
	await assert.rejects(scanned(more), DamageError);
});

test('a frame whose bytes or whose seek point were altered is refused', async () => {
	const message = encrypted(mixed(9_000_000));
	const { scan } = (await scanned(message)) ?? assert.fail('not scanned');
	const frame = scan.frames[1] ?? assert.fail('one frame only');
	const bytes = message.subarray(frame.offset, frame.offset + frame.length);
	for (const at of [0, 17, bytes.length >> 1, bytes.length - 1]) {
		const altered = Buffer.from(bytes);
		altered[at] = (altered[at] as number) ^ 1;
		await assert.rejects(decodeSeekFrame('a volume', scan.key, frame, altered), DamageError);
	}
	const { point } = frame;
	const state = Buffer.from(point.state);
	state[100] = (state[100] as number) ^ 1;
	for (const wrong of [
		{ state },
		{ state: Buffer.alloc(3) },
		{ crc: point.crc ^ 1 },
		{ cfbSkip: point.cfbSkip ^ 1 },
	]) {
		const other = { ...frame, point: { ...point, ...wrong } };
		await assert.rejects(decodeSeekFrame('a volume', scan.key, other, bytes), DamageError);
	}
});

test('what the source throws reaches the caller', async () => {
	const message = encrypted(mixed(12_000_000));
	const error = new TargetError('the network is gone');
	const breaking = async function* (length: number) {
		yield message.subarray(0, length);
		throw error;
	};
	await assert.rejects(Scan.open(breaking(3), opener), error);
	const opened = (await Scan.open(breaking(4_000_000), opener)) ?? assert.fail('not scanned');
	await assert.rejects(async () => {
		for await (const _ of opened.tar);
	}, error);
});

test('what is sealed in a seek point cannot be read', async () => {
	const secret = 'a secret that nobody may find in the index';
	const { scan } = (await scanned(encrypted(Buffer.alloc(9_000_000, secret)))) ?? assert.fail('not scanned');
	for (const { point } of scan.frames) assert.equal(point.state.includes(secret.slice(0, 8)), false);
});
