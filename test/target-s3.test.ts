/** What an S3 target promises about failures, odd stores and quietness, on a real S3 server. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { pbkdf2, randomBytes } from 'node:crypto';
import { after, before, type TestContext, test } from 'node:test';
import { inspect, promisify } from 'node:util';
import { GetObjectCommand, ListMultipartUploadsCommand, PutObjectCommand } from '@aws-sdk/client-s3';
import { TargetError } from '../src/errors.js';
import { openTarget } from '../src/target/open.js';
import { connect } from '../src/target/s3-client.js';
import type { S3Location } from '../src/target/url.js';
import { type Radosgw, startRadosgw } from './radosgw.js';
import { type FaultOf, startS3Proxy } from './s3-proxy.js';

const MIB = 1024 * 1024;

let server: Radosgw;
let location: S3Location;

before(async () => {
	server = await startRadosgw();
	location = { ...(await server.createBucket('faults')), prefix: 'p' };
});

after(() => server.stop());

async function put(at: S3Location, name: string, content: Buffer): Promise<void> {
	const writer = (await openTarget(at, { create: true })).create(name);
	await writer.write(content);
	await writer.commit();
}

/** As nothing of tsdup does it. */
async function replace(name: string, content: Buffer): Promise<void> {
	const { bucket: Bucket, prefix } = location;
	const object = { Bucket, Key: `${prefix}/${name}`, Body: content };
	await connect(location).send(new PutObjectCommand(object));
}

/** The location behind a proxy that breaks requests, until the test ends. */
async function faulty(t: TestContext, fault: FaultOf): Promise<S3Location> {
	const proxy = await startS3Proxy(server.endpoint, fault);
	t.after(() => proxy.stop());
	return { ...location, endpoint: proxy.endpoint };
}

const credentials = (accessKeyId: string, secretAccessKey: string) => ({
	credentials: { accessKeyId, secretAccessKey },
});

test('each failure is one sentence that says what to do, exit 7, and shows no secret', async () => {
	const wrongSecret = 'aWrongSecretThatMustNotShow';
	const cases: [Partial<S3Location>, RegExp][] = [
		[
			credentials(server.accessKeyId, wrongSecret),
			/does not accept the secret key; check TARGET_USER and TARGET_PASS/,
		],
		[
			credentials('NOSUCHKEY', wrongSecret),
			/does not know the access key; check TARGET_USER and TARGET_PASS/,
		],
		[{ bucket: 'no-such-bucket' }, /there is no bucket no-such-bucket at 127\.0\.0\.1:\d+; create it/],
		[{ endpoint: 'http://127.0.0.1:1' }, /nothing listens at 127\.0\.0\.1:1; check the host and port/],
		[
			{ endpoint: 'http://no-such-host.invalid' },
			/the host no-such-host\.invalid (is unknown|cannot be looked up)/,
		],
		[{ endpoint: server.endpoint.replace('http:', 'https:') }, /does not speak TLS; for plain http give/],
	];
	for (const [change, expected] of cases) {
		const reachable = change.endpoint === undefined;
		const broken = { ...location, ...change };
		const target = await openTarget(broken, { create: false });
		const requests = [
			() => target.list(),
			() => target.read('x', 0, 1),
			() => put(broken, 'x', Buffer.alloc(9 * MIB)),
			() => target.delete(['x']),
			() => target.sweep(),
		].slice(0, reachable ? 5 : 1);
		for (const request of requests) {
			await assert.rejects(request, (error: unknown) => {
				assert.ok(error instanceof TargetError, inspect(error));
				assert.equal(error.exit, 7);
				assert.match(error.message, expected);
				const shown = inspect(error, { depth: 20 });
				assert.ok(!shown.includes(wrongSecret) && !shown.includes(server.secretAccessKey));
				return true;
			});
		}
	}
});

test('an upload that cannot begin is told of once, however late the digest of its first part comes', async () => {
	const target = await openTarget({ ...location, bucket: 'no-such-bucket' }, { create: false });
	const writer = target.create('large');
	// All threads of the pool, where digests are made.
	const busy = Array.from({ length: 4 }, () => promisify(pbkdf2)('a', 'b', 1_000_000, 32, 'sha512'));
	await assert.rejects(async () => {
		await writer.write(Buffer.alloc(9 * MIB));
		await writer.commit();
	}, /there is no bucket no-such-bucket/);
	await Promise.all(busy);
});

test('a body that breaks off is taken up again where it ended', async (t) => {
	const content = randomBytes(3 * MIB);
	await put(location, 'broken', content);
	let cuts = 0;
	const at = await faulty(t, ({ method }) => {
		return method === 'GET' && cuts++ < 3 ? { cutAfter: 700_000 } : undefined;
	});
	const target = await openTarget(at, { create: false });
	assert.ok(content.subarray(5, 2 * MIB).equals(await target.read('broken', 5, 2 * MIB - 5)));
	assert.equal(cuts, 3);
	cuts = 0;
	const chunks: Buffer[] = [];
	for await (const chunk of target.stream('broken')) chunks.push(chunk);
	assert.ok(content.equals(Buffer.concat(chunks)));
	assert.equal(cuts, 4);
});

test('an object that is replaced while it is read gives an error, never a mixture', async (t) => {
	await put(location, 'replaced', randomBytes(3 * MIB));
	const at = await faulty(t, () => ({ cutAfter: 700_000 }));
	const target = await openTarget(at, { create: false });
	const read = async () => {
		let first = true;
		for await (const _ of target.stream('replaced')) {
			if (first) await replace('replaced', randomBytes(3 * MIB));
			first = false;
		}
	};
	await assert.rejects(read, /replaced while it was read/);
});

test('deletes one by one where the store refuses batches, and asks it once only', async (t) => {
	for (const name of ['a', 'b', 'c']) await put(location, name, Buffer.from('1'));
	let batches = 0;
	const at = await faulty(t, ({ method, url }) => {
		if (method !== 'POST' || !url?.includes('delete')) return undefined;
		batches++;
		return { refuse: { status: 400, code: 'MissingContentMD5' } };
	});
	const target = await openTarget(at, { create: false });
	await target.delete(['a', 'missing', 'b']);
	await target.delete(['c']);
	const left = (await target.list()).map(({ name }) => name);
	assert.deepEqual(
		left.filter((name) => /^[abc]$/.test(name)),
		[],
	);
	assert.equal(batches, 1);
});

test('a deletion of many carries Content-MD5, which Swift and old MinIO want', async (t) => {
	let md5: unknown;
	const at = await faulty(t, ({ method, headers }) => {
		if (method === 'POST') md5 = headers['content-md5'];
		return undefined;
	});
	const target = await openTarget(at, { create: false });
	await target.delete(['x', 'y']);
	assert.match(String(md5), /^[A-Za-z0-9+/]{22}==$/);
});

test('a part that is refused ends the upload with an error, and nothing is left', async (t) => {
	const at = await faulty(t, ({ url }) => {
		return url?.includes('partNumber=2') ? { refuse: { status: 403, code: 'QuotaExceeded' } } : undefined;
	});
	await assert.rejects(
		put(at, 'refused', Buffer.alloc(60 * MIB)),
		/Cannot write refused at .*: the storage quota is used up/,
	);
	const { Uploads = [] } = await connect(location).send(
		new ListMultipartUploadsCommand({ Bucket: 'faults' }),
	);
	assert.deepEqual(Uploads, []);
});

test('a busy store is asked again', async (t) => {
	let asked = 0;
	const at = await faulty(t, () => {
		return asked++ < 2 ? { refuse: { status: 503, code: 'SlowDown' } } : undefined;
	});
	await (await openTarget(at, { create: false })).list();
	assert.equal(asked, 3);
});

test('a key that may not list uploads does not stop a backup at the sweep', async (t) => {
	const at = await faulty(t, () => ({
		refuse: { status: 403, code: 'AccessDenied' },
	}));
	const target = await openTarget(at, { create: false });
	await target.sweep();
	await assert.rejects(
		target.list(),
		/access denied; check the rights of the access key on the bucket faults/,
	);
});

test('only volumes go to the storage class that is asked for', async (t) => {
	const classes: unknown[] = [];
	const at = await faulty(t, ({ headers }) => {
		classes.push(headers['x-amz-storage-class']);
		return { refuse: { status: 403, code: 'AccessDenied' } };
	});
	for (const storageClass of ['GLACIER', 'STANDARD_IA']) {
		for (const name of [
			'duplicity-full.T.vol1.difftar.gpg',
			'duplicity-full.T.manifest.gpg',
			'tsdup-index.T',
		]) {
			await assert.rejects(put({ ...at, storageClass }, name, Buffer.from('1')), TargetError);
		}
	}
	assert.deepEqual(classes, ['GLACIER', undefined, undefined, 'STANDARD_IA', undefined, undefined]);
});

test('without a region the AWS settings are asked, then us-east-1 is taken', async () => {
	const region = () => connect(location).config.region();
	const { AWS_REGION } = process.env;
	process.env.AWS_REGION = 'eu-west-3';
	assert.equal(await region(), 'eu-west-3');
	delete process.env.AWS_REGION;
	process.env.AWS_CONFIG_FILE = '/dev/null';
	assert.equal(await region(), 'us-east-1');
	delete process.env.AWS_CONFIG_FILE;
	if (AWS_REGION !== undefined) process.env.AWS_REGION = AWS_REGION;
});

test('credentials come from the AWS environment when the target has none', async () => {
	const { credentials: keys, ...rest } = location;
	process.env.AWS_ACCESS_KEY_ID = keys?.accessKeyId;
	process.env.AWS_SECRET_ACCESS_KEY = keys?.secretAccessKey;
	try {
		await (await openTarget(rest, { create: false })).list();
	} finally {
		delete process.env.AWS_ACCESS_KEY_ID;
		delete process.env.AWS_SECRET_ACCESS_KEY;
	}
});

test('the AWS SDK writes nothing to the terminal', () => {
	const child = `
		import { openTarget } from ${JSON.stringify(new URL('../src/target/open.js', import.meta.url).href)};
		const target = await openTarget(JSON.parse(process.env.LOCATION), { create: false });
		await target.list();`;
	const run = (env: Record<string, string>) =>
		spawnSync(process.execPath, ['--input-type=module', '-e', child], {
			env: { PATH: process.env.PATH, LOCATION: JSON.stringify(location), ...env },
			encoding: 'utf8',
		});
	const quiet = run({});
	assert.deepEqual([quiet.status, quiet.stdout, quiet.stderr], [0, '', '']);
	// Proof that there was something to keep quiet.
	if (Number.parseInt(process.versions.node, 10) < 22) {
		const loud = run({ AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED: 'false' });
		assert.match(loud.stderr, /NodeVersionSupportWarning/);
	}
});

test('the object is stored under the prefix and its plain name', async () => {
	await put(location, 'plain', Buffer.from('1'));
	const { ContentLength } = await connect(location).send(
		new GetObjectCommand({ Bucket: 'faults', Key: 'p/plain' }),
	);
	assert.equal(ContentLength, 1);
});

test('folders below the prefix are listed only where names may hold slashes', async () => {
	const at: S3Location = { ...location, prefix: 'folders' };
	const names = ['flat', 'cold/archive/volume', 'manifests/m'];
	for (const name of names) await put(at, name, Buffer.from('content'));
	const listed = async (from: S3Location) => {
		const target = await openTarget(from, { create: false });
		return (await target.list()).sort((a, b) => (a.name < b.name ? -1 : 1));
	};
	assert.deepEqual(await listed(at), [{ name: 'flat', size: 7 }]);
	const deep = { ...at, deep: true };
	assert.deepEqual(
		await listed(deep),
		names.toSorted().map((name) => ({ name, size: 7 })),
	);
	const target = await openTarget(deep, { create: false });
	assert.equal((await target.read('cold/archive/volume', 3, 4)).toString(), 'tent');
});
