import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { createHash, randomBytes, randomInt } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import test, { after, before } from 'node:test';
import zlib from 'node:zlib';
import * as openpgp from 'openpgp';
import { DamageError, TargetError } from '../src/errors.js';
import { type Encryptor, passphraseEncryptor, publicKeyEncryptor } from '../src/openpgp/encryptor.js';
import { readMessage } from '../src/openpgp/message.js';
import { AES_256 } from '../src/openpgp/session-key.js';
import type { ObjectWriter } from '../src/target/target.js';
import { FRAME_LENGTH, type StoredVolume } from '../src/volume/frame.js';
import { CHUNK_LENGTH, objectRange, payloadRuns } from '../src/volume/layout.js';
import { decodeFrame, frameAt, frameRange } from '../src/volume/reader.js';
import { endOfArchive, padding, tarHeader } from '../src/volume/tar.js';
import { VolumeWriter } from '../src/volume/writer.js';

const MIB = 2 ** 20;
const PASSPHRASE = 'volume-passphrase';
let home: string;
let publicKey: openpgp.PublicKey;
const byPassphrase = passphraseEncryptor(PASSPHRASE);

before(async () => {
	home = await mkdtemp(join(tmpdir(), 'tsdup-volume-'));
	gpg(['--passphrase', '', '--quick-gen-key', 'volume@test.invalid', 'default', 'default'], Buffer.alloc(0));
	const armoredKey = gpg(['--armor', '--export', 'volume@test.invalid'], Buffer.alloc(0)).toString();
	publicKey = await openpgp.readKey({ armoredKey });
});

after(async () => {
	spawnSync('gpgconf', ['--homedir', home, '--kill', 'all']);
	await rm(home, { recursive: true, force: true });
});

/** Runs the real gpg, with the passphrase on fd 3. */
function gpg(args: string[], input: Buffer): Buffer {
	const options = ['--homedir', home, '--batch', '--quiet', '--pinentry-mode', 'loopback'];
	const script = 'exec 3<<<"$PASSPHRASE"; exec gpg "$@"';
	const run = spawnSync('bash', ['-c', script, 'gpg', ...options, ...args], {
		input,
		env: { ...process.env, PASSPHRASE },
		maxBuffer: 2 ** 28,
	});
	assert.equal(run.status, 0, run.stderr.toString());
	return run.stdout;
}

function gpgDecrypt(object: Buffer): Buffer {
	return gpg(['--passphrase-fd', '3', '--decrypt'], object);
}

/** An object in memory. */
class MemoryObject implements ObjectWriter {
	readonly chunks: Buffer[] = [];
	committed = false;
	aborted = false;

	async write(chunk: Buffer): Promise<void> {
		assert.ok(!this.aborted, 'nothing is written after abort');
		this.chunks.push(chunk);
	}

	async commit(): Promise<void> {
		this.committed = true;
	}

	async abort(): Promise<void> {
		this.aborted = true;
	}

	get bytes(): Buffer {
		return Buffer.concat(this.chunks);
	}
}

interface Stored {
	readonly volume: StoredVolume;
	readonly object: Buffer;
}

async function store(tar: Buffer, to: Encryptor | null, piece = 300_001): Promise<Stored> {
	const object = new MemoryObject();
	const writer = new VolumeWriter(object, 'volume', to);
	for (let at = 0; at < tar.length; at += piece) {
		const part = Buffer.from(tar.subarray(at, at + piece));
		await writer.write(part);
		// The writer copied it; whoever reuses the buffer does no harm.
		part.fill(0xee);
	}
	const volume = await writer.finish();
	assert.ok(!object.committed, 'committing is the caller’s');
	await writer.commit();
	assert.ok(object.committed);
	assert.equal(writer.tarLength, tar.length);
	assert.equal(writer.storedBytes, volume.size);
	return { volume, object: object.bytes };
}

function readFrame({ volume, object }: Stored, i: number): Promise<Buffer> {
	const { offset, length } = frameRange(volume, i);
	assert.ok(offset >= 0 && offset + length <= object.length);
	return decodeFrame(volume, i, object.subarray(offset, offset + length));
}

/** Everything that the table of frames promises. */
async function checkFrames(stored: Stored, tar: Buffer): Promise<void> {
	const { volume, object } = stored;
	assert.equal(volume.tarLength, tar.length);
	assert.equal(volume.size, object.length);
	assert.equal(volume.sha1, createHash('sha1').update(object).digest('hex'));
	let end = 0;
	for (const [i, frame] of volume.frames.entries()) {
		assert.equal(frame.tarOffset, end);
		assert.ok(frame.tarLength > 0 && frame.tarLength <= FRAME_LENGTH);
		end += frame.tarLength;
		const expected = tar.subarray(frame.tarOffset, end);
		assert.ok((await readFrame(stored, i)).equals(expected), `frame ${i} of ${tar.length} bytes`);
		assert.equal(frameAt(volume, frame.tarOffset), i);
		assert.equal(frameAt(volume, end - 1), i);
	}
	assert.equal(end, tar.length);
	assert.throws(() => frameAt(volume, end), RangeError);
	assert.throws(() => frameAt(volume, -1), RangeError);
}

const around = (n: number, by: number[]) => by.map((d) => n + d);
const lengths = [
	...[0, 1, 511, 10240],
	...around(MIB, [-7, -6, -5, -1, 0, 1, 7]),
	...around(2 * MIB, [-6, -5, 0, 1]),
	...around(3 * MIB, [-7, -6, -5, 7]),
];

/** Half of it cannot be compressed, the other half can. */
function mixed(length: number): Buffer {
	return Buffer.concat([randomBytes(length >> 1), Buffer.alloc(length - (length >> 1), 'compressible ')]);
}

test('gpg opens a volume of every awkward length, and every frame can be read alone', async () => {
	for (const length of lengths) {
		const tar = mixed(length);
		const stored = await store(tar, byPassphrase);
		await checkFrames(stored, tar);
		assert.ok(gpgDecrypt(stored.object).equals(tar), `${length} bytes`);
	}
});

test('gzip opens an unencrypted volume of every awkward length, and every frame can be read alone', async () => {
	for (const length of lengths) {
		const tar = mixed(length);
		const stored = await store(tar, null);
		await checkFrames(stored, tar);
		assert.ok(zlib.gunzipSync(stored.object).equals(tar));
		const zcat = spawnSync(
			'sh',
			['-c', 'cat > "$1" && gzip -t "$1" && zcat "$1"', 'sh', join(home, 'v.gz')],
			{
				input: stored.object,
				maxBuffer: 2 ** 28,
			},
		);
		assert.equal(zcat.status, 0, zcat.stderr.toString());
		assert.ok(zcat.stdout.equals(tar), `${length} bytes`);
	}
});

test('gpg opens volumes that compress not at all, or to nearly nothing, written to a public key', async () => {
	const toKey = publicKeyEncryptor([publicKey]);
	for (const tar of [randomBytes(3 * MIB + 17), Buffer.alloc(40 * MIB)]) {
		const stored = await store(tar, toKey, 5 * MIB);
		await checkFrames(stored, tar);
		assert.ok(gpgDecrypt(stored.object).equals(tar));
	}
});

test('gpg opens a volume whose last outer chunk has no, one or all but one of its bytes', async () => {
	// What does not compress is stored as it is: the payload's length follows the tar's.
	const noise = randomBytes(4 * MIB);
	const payload = (v: StoredVolume) =>
		v.size - v.body - 5 - Math.floor((v.size - v.body - 5) / (CHUNK_LENGTH + 1));
	for (const rest of [0, 1, CHUNK_LENGTH - 1]) {
		let length = 2 * MIB - 1000;
		let stored = await store(noise.subarray(0, length), byPassphrase);
		let over = payload(stored.volume) - rest - 2 * CHUNK_LENGTH;
		while (over !== 0) {
			length -= over;
			stored = await store(noise.subarray(0, length), byPassphrase);
			over = payload(stored.volume) - rest - 2 * CHUNK_LENGTH;
		}
		const tar = noise.subarray(0, length);
		assert.equal(stored.object.at(-rest - 5), 0xff);
		assert.equal(stored.object.readUInt32BE(stored.object.length - rest - 4), rest);
		await checkFrames(stored, tar);
		assert.ok(gpgDecrypt(stored.object).equals(tar));
	}
});

test('a volume is read as a whole like any other OpenPGP message', async () => {
	const tar = mixed(2 * MIB + 12_345);
	const { volume, object } = await store(tar, byPassphrase);
	const key = volume.key ?? assert.fail();
	const parts: Buffer[] = [];
	for await (const part of readMessage(Readable.from([object]), async () => ({ algorithm: AES_256, key }))) {
		parts.push(part);
	}
	assert.ok(Buffer.concat(parts).equals(tar));
});

test('tar lists what gpg hands it', async () => {
	const content = randomBytes(700_000);
	const names = Array.from({ length: 5 }, (_, i) => `snapshot/file-${i}`);
	const parts = names.flatMap((name) => [
		tarHeader({
			name: Buffer.from(name),
			type: 'file',
			size: content.length,
			mode: 0o640,
			uid: 0,
			gid: 0,
			uname: 'root',
			gname: 'root',
			mtime: 1700000000,
		}),
		content,
		padding(content.length),
	]);
	const length = parts.reduce((sum, part) => sum + part.length, 0);
	const { object } = await store(Buffer.concat([...parts, endOfArchive(length)]), byPassphrase);
	const list = spawnSync('tar', ['tvf', '-'], { input: gpgDecrypt(object), encoding: 'utf8' });
	assert.equal(list.status, 0, list.stderr);
	const lines = list.stdout.trim().split('\n');
	assert.equal(lines.length, names.length);
	lines.forEach((line, i) => {
		assert.match(line, new RegExp(`^-rw-r----- root/root +700000 .* ${names[i]}$`));
	});
});

test('payload positions are right on both sides of every length octet', () => {
	for (const payloadLength of [
		25,
		CHUNK_LENGTH - 1,
		CHUNK_LENGTH,
		CHUNK_LENGTH + 1,
		3 * CHUNK_LENGTH,
		3 * CHUNK_LENGTH + 4,
		4 * CHUNK_LENGTH - 1,
	]) {
		const payload = randomBytes(payloadLength);
		const body = randomInt(100);
		const parts: Buffer[] = [randomBytes(body)];
		let at = 0;
		for (; payloadLength - at >= CHUNK_LENGTH; at += CHUNK_LENGTH) {
			parts.push(Buffer.from([0xf4]), payload.subarray(at, at + CHUNK_LENGTH));
		}
		parts.push(Buffer.from([0xff, 0, 0, 0, 0]), payload.subarray(at));
		const object = Buffer.concat(parts);
		const volume = { size: object.length, body, key: randomBytes(32) };

		const points = [0, 1, 2, 3].flatMap((k) => around(k * CHUNK_LENGTH, [-17, -2, -1, 0, 1, 2, 17]));
		points.push(payloadLength - 2, payloadLength - 1, payloadLength);
		const inside = [...new Set(points)].filter((p) => p >= 0 && p <= payloadLength);
		for (const from of inside) {
			for (const to of inside.filter((p) => p > from)) {
				const { offset, length } = objectRange(volume, from, to - from);
				const bytes = object.subarray(offset, offset + length);
				const label = `payload ${from} to ${to} of ${payloadLength}`;
				const runs = payloadRuns(bytes.length, offset, volume);
				const parts = runs.flatMap((start, i) => (i % 2 ? [] : [bytes.subarray(start, runs[i + 1])]));
				assert.ok(Buffer.concat(parts).equals(payload.subarray(from, to)), label);
				assert.equal(bytes[0], payload[from], `${label} begins with its first byte`);
				assert.equal(bytes.at(-1), payload[to - 1], `${label} ends with its last byte`);
			}
		}
	}
});

/** Decodes the frame from `bytes` and demands the right bytes or a DamageError. @returns whether it was damaged */
async function rightOrDamaged(volume: StoredVolume, i: number, bytes: Buffer, tar: Buffer): Promise<boolean> {
	const { tarOffset, tarLength } = volume.frames[i] ?? assert.fail();
	try {
		const decoded = await decodeFrame(volume, i, bytes);
		assert.ok(decoded.equals(tar.subarray(tarOffset, tarOffset + tarLength)), 'wrong bytes');
		return false;
	} catch (error) {
		if (!(error instanceof DamageError)) throw error;
		assert.match(error.message, new RegExp(`volume is damaged in frame ${i}`));
		return true;
	}
}

test('no flipped bit in a frame ever yields wrong bytes', async () => {
	const tar = Buffer.from(`${'some compressible text '.repeat(30)}${randomBytes(40).toString('hex')}`);
	for (const to of [byPassphrase, null]) {
		const { volume, object } = await store(tar, to);
		const { offset, length } = frameRange(volume, 0);
		assert.equal(await rightOrDamaged(volume, 0, object.subarray(offset, offset + length), tar), false);
		let damaged = 0;
		for (let bit = 0; bit < length * 8; bit++) {
			const bytes = Buffer.from(object.subarray(offset, offset + length));
			bytes.writeUInt8(bytes.readUInt8(bit >> 3) ^ (1 << (bit & 7)), bit >> 3);
			if (await rightOrDamaged(volume, 0, bytes, tar)) damaged++;
		}
		assert.ok(damaged > length * 4, `${damaged} of ${length * 8} bits are noticed`);
	}
});

test('damage in a frame that crosses outer chunks is an error that names object and frame', async () => {
	const tar = randomBytes(2.5 * MIB);
	for (const to of [byPassphrase, null]) {
		const { volume, object } = await store(tar, to);
		for (const [i] of volume.frames.entries()) {
			const { offset, length } = frameRange(volume, i);
			const range = object.subarray(offset, offset + length);
			assert.equal(await rightOrDamaged(volume, i, range, tar), false);
			for (let n = 0; n < 20; n++) {
				const bytes = Buffer.from(range);
				const at = randomInt(length);
				bytes.writeUInt8(bytes.readUInt8(at) ^ (1 << randomInt(8)), at);
				await rightOrDamaged(volume, i, bytes, tar);
			}
			const middle = Buffer.from(range);
			middle.fill(0, length >> 1, (length >> 1) + 64);
			assert.ok(await rightOrDamaged(volume, i, middle, tar));
			assert.ok(await rightOrDamaged(volume, i, range.subarray(1), tar));
			assert.ok(await rightOrDamaged(volume, i, Buffer.concat([range, Buffer.alloc(1)]), tar));
			assert.ok(await rightOrDamaged(volume, i, Buffer.alloc(0), tar));
			assert.ok(await rightOrDamaged(volume, i, Buffer.alloc(length), tar));
		}
	}
});

test('a frame of another place, another volume or under another key is not taken', async () => {
	const tar = Buffer.alloc(2 * MIB, 'the same text again and again, ');
	const { volume, object } = await store(tar, byPassphrase);
	const other = { ...volume, key: randomBytes(32) };
	const { offset, length } = frameRange(volume, 1);
	assert.ok(await rightOrDamaged(other, 1, object.subarray(offset, offset + length), tar));
	assert.ok(await rightOrDamaged(volume, 1, object.subarray(offset - 1, offset - 1 + length), tar));
});

test('data that would uncompress to far more than the frame is cut off', async () => {
	const bomb = zlib.gzipSync(Buffer.alloc(16 * MIB));
	const frame = { tarOffset: 0, tarLength: 100, offset: 0, length: bomb.length, digest: Buffer.alloc(32) };
	const volume = {
		name: 'volume',
		size: bomb.length,
		sha1: '',
		key: null,
		body: 0,
		tarLength: 100,
		frames: [frame],
	};
	await assert.rejects(
		decodeFrame(volume, 0, bomb),
		(error: Error) => error instanceof DamageError && /inflates to 101 bytes or more/.test(error.message),
	);
});

test('the writer holds a bounded number of frames while the target is slow', async () => {
	for (const to of [byPassphrase, null]) {
		const object = new MemoryObject();
		let open = () => {};
		const gate = new Promise<void>((resolve) => {
			open = resolve;
		});
		object.write = async (chunk) => {
			await gate;
			object.chunks.push(chunk);
		};
		const writer = new VolumeWriter(object, 'volume', to);
		const tar = randomBytes(8 * MIB);
		let written = 0;
		const all = (async () => {
			for (; written < 8; written++) await writer.write(tar.subarray(written * MIB, (written + 1) * MIB));
		})();
		await new Promise((resolve) => setTimeout(resolve, 300));
		assert.ok(written <= 5, `${written} MiB were taken`);
		open();
		await all;
		await checkFrames({ volume: await writer.finish(), object: object.bytes }, tar);
	}
});

test('an error of the target reaches the next write and finish', async () => {
	for (const to of [byPassphrase, null]) {
		const object = new MemoryObject();
		const refused = new TargetError('refused');
		object.write = () => Promise.reject(refused);
		const writer = new VolumeWriter(object, 'volume', to);
		const tar = randomBytes(4 * MIB);
		await assert.rejects(async () => {
			for (let i = 0; i < 10; i++) await writer.write(tar);
		}, refused);
		await assert.rejects(writer.write(Buffer.alloc(1)), refused);
		await assert.rejects(writer.finish(), refused);
		await writer.abort();
		assert.ok(object.aborted);

		const short = new VolumeWriter(object, 'volume', to);
		await short.write(Buffer.alloc(1));
		await assert.rejects(short.finish(), refused);
	}
});

test('an error of the encryptor reaches the next write and finish', async () => {
	const failing: Encryptor = { newMessage: () => Promise.reject(new Error('no key')) };
	const writer = new VolumeWriter(new MemoryObject(), 'volume', failing);
	await writer.write(Buffer.alloc(3 * MIB));
	await new Promise((resolve) => setTimeout(resolve, 100));
	await assert.rejects(writer.write(Buffer.alloc(1)), /no key/);
	await assert.rejects(writer.finish(), /no key/);
});

test('after abort nothing more is written', async () => {
	for (const to of [byPassphrase, null]) {
		const object = new MemoryObject();
		const writer = new VolumeWriter(object, 'volume', to);
		await writer.write(randomBytes(4 * MIB));
		await writer.abort();
		const before = object.chunks.length;
		await assert.rejects(writer.finish(), /aborted/);
		await new Promise((resolve) => setTimeout(resolve, 100));
		assert.equal(object.chunks.length, before);
		await writer.abort();
	}
});
