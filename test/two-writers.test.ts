/**
 * Two runs at once never mix: on one host the second leaves at once, and a lock whose holder died holds nobody up; on two hosts,
 * where the store can tell, the second replaces nothing that the first has written.
 */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { mkdirSync, writeFileSync } from 'node:fs';
import type { IncomingMessage } from 'node:http';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { LockError } from '../src/errors.js';
import { openTarget } from '../src/target/open.js';
import type { Target } from '../src/target/target.js';
import type { S3Location } from '../src/target/url.js';
import { type Ended, ended, profile, sandbox, startTsdup, tsdup } from './cli.js';
import { Gate } from './crash-bench.js';
import { type Radosgw, startRadosgw } from './radosgw.js';
import { type FaultOf, inWords, onlyFirst, startS3Proxy } from './s3-proxy.js';

const box = sandbox();
const source = join(box.dir, 'source');
mkdirSync(source);
writeFileSync(join(source, 'file'), randomBytes(100_000));
after(() => box.remove());

test('while a backup runs, whatever else would change the collection ends with exit 5; what reads goes on; a lock dies with its holder', async () => {
	const target = join(box.dir, 'target');
	profile(box, 'p', `SOURCE='${source}'\nTARGET='file://${target}'\nGPG_PW='a passphrase'\nMAX_AGE=1M\n`);
	assert.equal((await tsdup(['backup', 'p'], box)).code, 0);
	const gate = new Gate(join(box.dir, 'gate'));
	const first = startTsdup(['backup', 'p'], { env: { ...box.env, TSDUP_TRACE: gate.path } });
	const end = ended(first);
	// Its first request is let in: it holds the lock then, and waits before the next.
	while ((await gate.letOneIn()) === '') await sleep(20);
	for (const command of ['backup p', 'purge p 1M --force', 'cleanup p --force', 'index rebuild p']) {
		const { code, stderr } = await tsdup(command.split(' '), box);
		assert.equal(code, 5, `${command}\n${stderr}`);
		assert.match(stderr, /Another run works on this collection: wait for it to end/);
	}
	for (const command of ['list p', 'status p']) {
		assert.equal((await tsdup(command.split(' '), box)).code, 0, command);
	}
	first.kill('SIGKILL');
	assert.equal((await end).code, 128 + 9);
	const { code, stderr } = await tsdup(['backup', 'p'], box);
	assert.equal(code, 0, stderr);
});

describe('on S3', () => {
	let server: Radosgw;
	let location: S3Location;
	let target: Target;
	before(async () => {
		server = await startRadosgw();
		location = { ...(await server.createBucket('writers')), prefix: 'p' };
		target = await openTarget(location, { create: true });
	});
	after(() => server.stop());

	async function put(to: Target, name: string, content: Buffer): Promise<void> {
		const object = to.create(name);
		await object.write(content);
		await object.commit();
	}

	/** The same target by a proxy, until the test ends; and a profile for it. */
	async function behind(fault: FaultOf, name: string): Promise<Target> {
		const proxy = await startS3Proxy(server.endpoint, fault);
		after(() => proxy.stop());
		const { accessKeyId, secretAccessKey } = server;
		profile(
			box,
			name,
			[
				`SOURCE='${source}'`,
				`TARGET='s3:///writers/${name}'`,
				`TARGET_USER='${accessKeyId}'\nTARGET_PASS='${secretAccessKey}'`,
				`GPG_PW='a passphrase'`,
				`DUPL_PARAMS='--s3-endpoint-url ${proxy.endpoint}'`,
			].join('\n'),
		);
		return openTarget({ ...location, prefix: name, endpoint: proxy.endpoint }, { create: true });
	}

	test('an object is not replaced, but what is there may be written again', async () => {
		const content = randomBytes(1000);
		await put(target, 'object', content);
		await put(target, 'object', content);
		await assert.rejects(put(target, 'object', randomBytes(1000)), (error) => {
			assert.ok(error instanceof LockError);
			assert.equal(error.exit, 5);
			assert.match(error.message, /^object is on the target already: another run, maybe on another host/);
			return true;
		});
		assert.deepEqual(await target.read('object', 0, 1000), content);
		const large = randomBytes(9 * 2 ** 20);
		for (let i = 0; i < 2; i++) await put(target, 'large', large);
		assert.deepEqual(await target.read('large', large.length - 9, 9), large.subarray(-9));
	});

	test('an answer that was lost does not make the object another one', async () => {
		for (const length of [1000, 9 * 2 ** 20]) {
			const to = await behind(onlyFirst(1, { cutAfter: 0 }, /PUT|POST.*uploadId/), 'lost');
			const content = randomBytes(length);
			await put(to, `of-${length}`, content);
			assert.deepEqual(await to.read(`of-${length}`, 0, length), content);
		}
	});

	test('a store that refuses to create only gets plain requests, and is asked once', async () => {
		let asked = 0;
		await behind(({ headers }) => {
			if (headers['if-none-match'] === undefined) return undefined;
			asked++;
			return { refuse: { status: 501, code: 'NotImplemented' } };
		}, 'refuses');
		for (let i = 0; i < 2; i++) {
			const { code, stderr } = await tsdup(['backup', 'refuses'], box);
			assert.equal(code, 0, stderr);
			assert.equal(asked, 1);
		}
	});

	/** A backup that another host is a little quicker than: an object of this kind is there when it wants to write it. */
	async function late(kind: RegExp, name: string): Promise<{ run: Ended; theirs: string; content: Buffer }> {
		const content = randomBytes(500);
		const direct = await openTarget({ ...location, prefix: name }, { create: true });
		let theirs = '';
		let isThere = false;
		const fault = (request: IncomingMessage) => {
			if (request.method !== 'PUT' || !kind.test(inWords(request)) || isThere) return undefined;
			if (theirs === '') {
				theirs = /([^/?]+)(\?|$)/.exec(inWords(request))?.[1] as string;
				put(direct, theirs, content).then(() => {
					isThere = true;
				});
			}
			return { refuse: { status: 503, code: 'SlowDown' } };
		};
		await behind(fault, name);
		return { run: await tsdup(['backup', name], box), theirs, content };
	}

	test('a backup of the same second as that of another host ends with exit 5, and leaves what is theirs alone', async () => {
		for (const [kind, name] of [
			[/\.vol1\./, 'volume'],
			[/signatures/, 'signatures'],
		] as const) {
			const { run, theirs, content } = await late(kind, name);
			assert.equal(run.code, 5, run.stderr);
			assert.match(run.stderr, /is on the target already: another run, maybe on another host/);
			const direct = await openTarget({ ...location, prefix: name }, { create: true });
			assert.deepEqual(
				(await direct.list()).map((object) => object.name),
				[theirs],
			);
			assert.deepEqual(await direct.read(theirs, 0, content.length), content);
			assert.equal((await tsdup(['backup', name], box)).code, 0);
		}
	});

	test('a manifest of another host is not replaced, and its set is not completed with what is ours', async () => {
		const { run, theirs, content } = await late(/manifest/, 'manifest');
		assert.equal(run.code, 5, run.stderr);
		const direct = await openTarget({ ...location, prefix: 'manifest' }, { create: true });
		assert.deepEqual(await direct.read(theirs, 0, content.length), content);
		await direct.delete([theirs]);
		const { code, stdout, stderr } = await tsdup(['backup', 'manifest'], box);
		assert.equal(code, 0, stderr);
		assert.doesNotMatch(stdout + stderr, /interrupted/);
	});
});
