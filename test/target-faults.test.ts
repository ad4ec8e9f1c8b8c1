/** What an S3 target does when requests go wrong on their way: what can be mended is, the rest is told at once. */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { after, before, type TestContext, test } from 'node:test';
import { GetObjectCommand, ListMultipartUploadsCommand } from '@aws-sdk/client-s3';
import { type OpenOptions, openTarget } from '../src/target/open.js';
import { connect } from '../src/target/s3-client.js';
import type { Target } from '../src/target/target.js';
import { Traffic } from '../src/target/traffic.js';
import type { S3Location } from '../src/target/url.js';
import { type Radosgw, startRadosgw } from './radosgw.js';
import {
	afterFirst,
	byChance,
	eitherOf,
	type Fault,
	type FaultOf,
	onlyFirst,
	startS3Proxy,
} from './s3-proxy.js';

const MIB = 1024 * 1024;

let server: Radosgw;
let location: S3Location;

before(async () => {
	server = await startRadosgw();
	location = { ...(await server.createBucket('faults')), prefix: 'p' };
});

after(() => server.stop());

interface Faulty {
	readonly target: Target;
	readonly traffic: Traffic;
	/** Every request that came to the proxy. */
	asked(): number;
}

async function faulty(t: TestContext, fault: FaultOf, options: Partial<OpenOptions> = {}): Promise<Faulty> {
	let asked = 0;
	const proxy = await startS3Proxy(server.endpoint, (request) => {
		asked++;
		return fault(request);
	});
	t.after(() => proxy.stop());
	const traffic = options.traffic ?? new Traffic();
	const at = { ...location, endpoint: proxy.endpoint };
	const target = await openTarget(at, { create: true, ...options, traffic });
	return { target, traffic, asked: () => asked };
}

async function put(target: Target, name: string, content: Buffer): Promise<void> {
	const writer = target.create(name);
	try {
		await writer.write(content);
		await writer.commit();
	} catch (error) {
		await writer.abort();
		throw error;
	}
}

/** Without the proxy. */
async function stored(name: string): Promise<Buffer> {
	const query = { Bucket: location.bucket, Key: `${location.prefix}/${name}` };
	const { Body } = await connect(location).send(new GetObjectCommand(query));
	return Buffer.from((await Body?.transformToByteArray()) ?? []);
}

/** Every temporary fault. A stalled connection is cut after three seconds here. */
const TEMPORARY: Readonly<Record<string, Fault>> = {
	'a delay': { delay: 300 },
	'error 500': { refuse: { status: 500, code: 'InternalError' } },
	SlowDown: { refuse: { status: 503, code: 'SlowDown' } },
	'a timeout of the store': { refuse: { status: 400, code: 'RequestTimeout' } },
	'a reset in the middle of the request': { cutRequestAfter: 100_000 },
	'a lost answer': { cutAfter: 0 },
	'an answer that breaks off': { cutAfter: 1000 },
	'a store that keeps still': { stall: true },
	'an answer that stops': { stall: 100_000 },
	'a wrong byte on the way to the store': { flipRequest: 50_000 },
};

for (const [name, fault] of Object.entries(TEMPORARY)) {
	test(`${name}, at each request once, is mended`, async (t) => {
		const small = randomBytes(300_000);
		const large = randomBytes(10 * MIB);
		const kinds = [/^PUT/, /^POST .*uploads/, /^POST .*uploadId/, /^GET .*\/p\//, /^GET .*list-type/];
		const { target } = await faulty(t, eitherOf(...kinds.map((kind) => onlyFirst(1, fault, kind))), {
			stall: 3000,
			patience: 60_000,
		});
		await put(target, 'small', small);
		await put(target, 'large', large);
		assert.ok((await stored('small')).equals(small) && (await stored('large')).equals(large));
		assert.ok((await target.read('large', 5, 9 * MIB)).equals(large.subarray(5, 9 * MIB + 5)));
		assert.ok((await target.list()).some((object) => object.name === 'large'));
		await target.delete(['small', 'large']);
	});
}

test('an answer that is shorter than it says is asked for again', async (t) => {
	const content = randomBytes(MIB);
	const { target, traffic } = await faulty(t, onlyFirst(1, { shorten: 1000 }, /^GET/));
	await put(target, 'short', content);
	assert.ok((await target.read('short', 10, 500_000)).equals(content.subarray(10, 500_010)));
	assert.equal(traffic.retries, 1);
});

test('the store has other bytes than it was sent: an error that says so', async (t) => {
	// The proxy answers for a store that keeps something else: its ETag is not that of what was sent, and so it reads back.
	const headers = { etag: '"00000000000000000000000000000000"' };
	const { target } = await faulty(t, ({ method }) => (method === 'PUT' ? { headers } : { flip: 7 }));
	await assert.rejects(put(target, 'wrong', randomBytes(1000)), /the store has other bytes than it was sent/);
});

test('a store whose ETags are no digests is read back once, then believed', async (t) => {
	const headers = { etag: '"00000000000000000000000000000000"' };
	const { target, traffic } = await faulty(t, ({ method }) => (method === 'PUT' ? { headers } : undefined));
	for (let i = 0; i < 3; i++) await put(target, `odd-${i}`, randomBytes(1000));
	assert.deepEqual(traffic.requests, { list: 0, read: 1, put: 3, delete: 0 });
});

test('what another attempt cannot mend is told at once', async (t) => {
	for (const [status, code] of [
		[400, 'InvalidRequest'],
		[401, 'Unauthorized'],
		[403, 'AccessDenied'],
		[403, 'ExpiredToken'],
		[404, 'NoSuchBucket'],
		[409, 'BucketNotEmpty'],
		[412, 'PreconditionFailed'],
		[501, 'NotImplemented'],
	] as const) {
		const { target, asked } = await faulty(t, () => ({ refuse: { status, code } }));
		await assert.rejects(target.list());
		assert.equal(asked(), 1, code);
	}
});

test('credentials that expire in the middle end the upload, and nothing of it is shown', async (t) => {
	const fault = afterFirst(2, { refuse: { status: 403, code: 'ExpiredToken' } }, /^PUT/);
	const { target } = await faulty(t, fault);
	await assert.rejects(
		put(target, 'expired', randomBytes(40 * MIB)),
		/Cannot write expired at .*: the session token has expired; get new AWS credentials/,
	);
	assert.ok(!(await target.list()).some(({ name }) => name === 'expired'));
	const uploads = await connect(location).send(new ListMultipartUploadsCommand({ Bucket: location.bucket }));
	assert.deepEqual(uploads.Uploads ?? [], []);
});

test('a store that stays down ends the request when the patience does', async (t) => {
	const fault = { refuse: { status: 503, code: 'SlowDown' } };
	const { target, asked } = await faulty(t, () => fault, { patience: 2000 });
	await assert.rejects(target.list(), /is too busy; run again later/);
	assert.ok(asked() > 2);
});

test('the store is asked for again no sooner than it says', async (t) => {
	const refuse = { status: 503, code: 'SlowDown' };
	const { target } = await faulty(t, onlyFirst(1, { refuse, headers: { 'retry-after': '2' } }));
	const start = Date.now();
	await target.list();
	assert.ok(Date.now() - start >= 1000);
});

test('a fifth of all requests going wrong at random harms nothing', async (t) => {
	const faults = Object.values(TEMPORARY);
	const { target, traffic } = await faulty(t, byChance(20_101_004, 0.2, faults), {
		stall: 3000,
		patience: 120_000,
	});
	const contents = Array.from({ length: 12 }, (_, i) => randomBytes(i * 1_100_000));
	for (const [i, content] of contents.entries()) await put(target, `random-${i}`, content);
	for (const [i, content] of contents.entries()) {
		assert.ok((await stored(`random-${i}`)).equals(content), `random-${i}`);
		assert.ok((await target.read(`random-${i}`, 0, content.length)).equals(content), `random-${i}`);
	}
	assert.ok(traffic.retries > 0);
	await target.delete(contents.map((_, i) => `random-${i}`));
	assert.ok(!(await target.list()).some(({ name }) => name.startsWith('random-')));
});

test('uploads and downloads keep to a limit', async (t) => {
	const traffic = new Traffic({ upload: 2_000_000, download: 2_000_000 });
	const { target } = await faulty(t, () => undefined, { traffic });
	const content = randomBytes(3_000_000);
	for (const act of [() => put(target, 'slow', content), () => target.read('slow', 0, content.length)]) {
		const start = Date.now();
		await act();
		// No more than that in the time; how much slower it is, is the machine's.
		assert.ok(Date.now() - start > 1300);
	}
	assert.ok((await stored('slow')).equals(content));
	assert.deepEqual([traffic.uploaded, traffic.downloaded], [3_000_000, 3_000_000]);
});
