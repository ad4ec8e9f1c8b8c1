/** What every target promises, kept by a folder and by a real S3 server alike. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, readdir, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { ListMultipartUploadsCommand, PutObjectCommand } from '@aws-sdk/client-s3';
import { DamageError, MissingObjectError, TargetError } from '../src/errors.js';
import { openTarget, type TargetLocation } from '../src/target/open.js';
import { RecordingTarget, type Request } from '../src/target/recording.js';
import { connect } from '../src/target/s3-client.js';
import type { Target } from '../src/target/target.js';
import type { S3Location } from '../src/target/url.js';
import { startRadosgw } from './radosgw.js';

const MIB = 1024 * 1024;
const NAME = 'duplicity-full.20260101T000000Z.vol1.difftar.gpg';

interface Place {
	readonly location: TargetLocation;
	/** What lies at the target unseen by `list`: temporary files, unfinished uploads. */
	hidden(): Promise<string[]>;
	/** Puts an object there past the target. */
	put(path: string, content: Buffer): Promise<void>;
}

async function folderPlace(dir: string, name: string): Promise<Place> {
	const path = join(dir, name);
	return {
		location: { kind: 'file', path },
		hidden: async () => (await readdir(path)).filter((file) => file.startsWith('.')),
		put: async (file, content) => {
			await mkdir(join(path, file, '..'), { recursive: true });
			await writeFile(join(path, file), content);
		},
	};
}

async function s3Place(_dir: string, bucket: string): Promise<Place> {
	const location: S3Location = { ...(await (await startRadosgw()).createBucket(bucket)), prefix: 'a/b c' };
	const client = connect(location);
	return {
		location,
		hidden: async () => {
			const { Uploads = [] } = await client.send(new ListMultipartUploadsCommand({ Bucket: bucket }));
			return Uploads.map(({ Key = '' }) => Key);
		},
		put: async (file, content) => {
			await client.send(new PutObjectCommand({ Bucket: bucket, Key: `a/b c/${file}`, Body: content }));
		},
	};
}

async function put(target: Target, name: string, content: Buffer): Promise<void> {
	const writer = target.create(name);
	await writer.write(content);
	await writer.commit();
}

async function whole(target: Target, name: string): Promise<Buffer> {
	const chunks: Buffer[] = [];
	for await (const chunk of target.stream(name)) chunks.push(chunk);
	return Buffer.concat(chunks);
}

async function names(target: Target): Promise<string[]> {
	return (await target.list()).map(({ name }) => name).sort();
}

let dir: string;
let count = 0;

before(async () => {
	dir = await mkdtemp(join(tmpdir(), 'tsdup-target-'));
});

after(async () => {
	await (await startRadosgw()).stop();
	await rm(dir, { recursive: true });
});

for (const [kind, makePlace] of Object.entries({ folder: folderPlace, S3: s3Place })) {
	describe(kind, () => {
		let place: Place;
		let target: Target;

		async function fresh(): Promise<void> {
			place = await makePlace(dir, `conformance-${++count}`);
			target = await openTarget(place.location, { create: true });
		}

		test('shows nothing of an object before its commit, and all of it after', async () => {
			await fresh();
			const content = randomBytes(9 * MIB);
			const writer = target.create(NAME);
			await writer.write(content.subarray(0, 1000));
			await writer.write(content.subarray(1000));
			assert.deepEqual(await target.list(), []);
			await assert.rejects(target.read(NAME, 0, 1), MissingObjectError);
			await writer.commit();
			assert.deepEqual(await target.list(), [{ name: NAME, size: content.length }]);
			assert.ok(content.equals(await whole(target, NAME)));
			assert.deepEqual(await place.hidden(), []);
			await writer.abort();
			assert.deepEqual(await names(target), [NAME]);
		});

		test('an aborted object leaves nothing, whatever was written of it', async () => {
			await fresh();
			for (const size of [0, 1000, 9 * MIB, 40 * MIB]) {
				const writer = target.create(NAME);
				await writer.write(Buffer.alloc(size));
				await writer.abort();
				await writer.abort();
				await assert.rejects(writer.commit(), TargetError);
				assert.deepEqual(await target.list(), []);
				assert.deepEqual(await place.hidden(), []);
			}
		});

		test('takes objects from empty to many parts, in pieces of any size, and gives them back equal', async () => {
			await fresh();
			const content = randomBytes(20 * MIB + 7);
			for (const size of [0, 1, 8 * MIB, 8 * MIB + 1, content.length]) {
				const writer = target.create(NAME);
				for (let at = 0, step = 1; at < size; at += step, step = 3 * step + 1) {
					await writer.write(content.subarray(at, Math.min(at + step, size)));
				}
				await writer.commit();
				assert.deepEqual(await target.list(), [{ name: NAME, size }]);
				assert.ok(content.subarray(0, size).equals(await whole(target, NAME)), `${size} bytes`);
				await target.delete([NAME]);
			}
		});

		test('writes several objects at once without mixing them', async () => {
			await fresh();
			const contents = new Map(['x', 'y', 'z'].map((name) => [name, randomBytes(9 * MIB)]));
			await Promise.all([...contents].map(([name, content]) => put(target, name, content)));
			for (const [name, content] of contents) assert.ok(content.equals(await whole(target, name)));
		});

		test('reads exactly the range asked for, and never fewer bytes', async () => {
			await fresh();
			const content = randomBytes(300_000);
			await put(target, NAME, content);
			for (const [offset, length] of [
				[0, 1],
				[0, 300_000],
				[123_456, 100_000],
				[299_999, 1],
				[5, 0],
			] as const) {
				const bytes = await target.read(NAME, offset, length);
				assert.ok(content.subarray(offset, offset + length).equals(bytes), `${offset}+${length}`);
			}
			await assert.rejects(target.read(NAME, 299_999, 2), DamageError);
			await assert.rejects(target.read(NAME, 300_000, 1), DamageError);
		});

		test('a missing object is told by its name', async () => {
			await fresh();
			const missing = (error: unknown) => error instanceof MissingObjectError && error.message.includes(NAME);
			await assert.rejects(target.read(NAME, 0, 1), missing);
			await assert.rejects(whole(target, NAME), missing);
		});

		test('lists and deletes more objects than one request can name', async () => {
			await fresh();
			const expected = Array.from({ length: 1005 }, (_, i) => `object-${String(i).padStart(4, '0')}`);
			for (let i = 0; i < expected.length; i += 50) {
				await Promise.all(expected.slice(i, i + 50).map((name) => place.put(name, Buffer.from('1'))));
			}
			assert.deepEqual(await names(target), expected);
			await target.delete([...expected.slice(1), 'never-there']);
			assert.deepEqual(await names(target), ['object-0000']);
		});

		test('sees only its own level', async () => {
			await fresh();
			await place.put('x', Buffer.from('1'));
			await place.put('folder/y', Buffer.from('1'));
			assert.deepEqual(await names(target), ['x']);
		});

		test('what a killed writer left is unseen, and swept', async () => {
			await fresh();
			await put(target, 'kept', Buffer.from('1'));
			const child = `
				import { openTarget } from ${JSON.stringify(new URL('../src/target/open.js', import.meta.url).href)};
				const target = await openTarget(JSON.parse(process.env.LOCATION), { create: false });
				const writer = target.create(${JSON.stringify(NAME)});
				await writer.write(Buffer.alloc(40 * ${MIB}));
				process.kill(process.pid, 'SIGKILL');`;
			const env = { ...process.env, LOCATION: JSON.stringify(place.location) };
			const { signal } = spawnSync(process.execPath, ['--input-type=module', '-e', child], { env });
			assert.equal(signal, 'SIGKILL');
			assert.equal((await place.hidden()).length, 1);
			assert.deepEqual(await names(target), ['kept']);
			await target.sweep();
			assert.deepEqual(await place.hidden(), []);
			assert.deepEqual(await names(target), ['kept']);
		});

		test('each request can be recorded', async () => {
			await fresh();
			const requests: Request[] = [];
			const recording = new RecordingTarget(target, (request) => requests.push(request));
			await put(recording, 'x', Buffer.from('123'));
			await recording.list();
			await recording.read('x', 1, 2);
			await whole(recording, 'x');
			await recording.delete(['x']);
			await recording.sweep();
			assert.deepEqual(requests, [
				{ op: 'put', name: 'x', length: 3 },
				{ op: 'list' },
				{ op: 'read', name: 'x', offset: 1, length: 2 },
				{ op: 'stream', name: 'x' },
				{ op: 'delete', name: 'x' },
				{ op: 'sweep' },
			]);
		});
	});
}

test('a missing target folder is said so, and made private for a backup', async () => {
	const path = join(dir, 'deep', 'folder');
	const reader = await openTarget({ kind: 'file', path }, { create: false });
	const requests = [
		() => reader.list(),
		() => reader.read('x', 0, 1),
		() => whole(reader, 'x'),
		() => reader.delete(['x']),
		() => reader.sweep(),
	];
	for (const request of requests) {
		await assert.rejects(request, (error: unknown) => {
			return (
				error instanceof TargetError && error.exit === 7 && error.message.includes(`${path} does not exist`)
			);
		});
	}
	assert.ok(!existsSync(path));
	await openTarget({ kind: 'file', path }, { create: true });
	assert.equal((await stat(path)).mode & 0o777, 0o700);
});

test('a target that cannot be written is told with its path and the reason', async () => {
	const target = await openTarget({ kind: 'file', path: '/sys' }, { create: true });
	await assert.rejects(
		put(target, 'x', Buffer.from('1')),
		/^TargetError: Cannot write \/sys\/x: permission denied$/,
	);
	const noFolder = await openTarget({ kind: 'file', path: '/dev/null' }, { create: false });
	await assert.rejects(noFolder.list(), /The target \/dev\/null is not a folder/);
	await assert.rejects(openTarget({ kind: 'file', path: '/dev/null/x' }, { create: true }), TargetError);
});

test('an object name never leads out of the target folder', async () => {
	const target = await openTarget({ kind: 'file', path: join(dir, 'inside') }, { create: true });
	await writeFile(join(dir, 'outside'), 'secret');
	await assert.rejects(target.read('../outside', 0, 1), TargetError);
	await assert.rejects(target.delete(['..']), TargetError);
	assert.throws(() => target.create('a/b'), TargetError);
});
