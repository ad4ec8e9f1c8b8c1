/**
 * A backup that is killed, at any moment, harms nothing: what was committed can be verified and restored by stock
 * duplicity, and the next run makes good what is left, by itself.
 */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { ListMultipartUploadsCommand } from '@aws-sdk/client-s3';
import { connect } from '../src/target/s3-client.js';
import { profile, sandbox } from './cli.js';
import { Bench, type Moment } from './crash-bench.js';
import { startRadosgw } from './radosgw.js';
import { seededRandom } from './tree.js';

const PASSPHRASE = 'a passphrase of the crash test';

/** In a normal test run a few; TSDUP_TESTS=all takes a hundred. */
const MOMENTS = process.env.TSDUP_TESTS === 'all' ? 100 : 10;

const elapsed =
	(limit: number): Moment =>
	({ ms }) =>
		ms >= limit;
/** When a request is about to be made. */
const asking =
	(request: RegExp): Moment =>
	({ trace }) =>
		request.test(trace);

/** One killed run, what stock says of the target then, and the run after it. @returns what that one said */
async function crashAndHeal(
	bench: Bench,
	moment: Moment | 'sigtar' | 'manifest',
	...options: string[]
): Promise<string> {
	bench.edit();
	const before = new Set(await bench.objects());
	const { done } =
		typeof moment === 'string' ? await bench.killAfter(moment) : await bench.kill(moment, ...options);
	const left = (await bench.objects()).filter((name) => !before.has(name));
	const committed = await bench.noteCommitted();
	if (bench.committed.size > 0) await bench.stockReads();
	const said = await bench.backup();
	if (!committed && left.some((name) => name.startsWith('duplicity-'))) {
		assert.match(
			said,
			/was interrupted: it(s remains, \d+ objects?, were removed| goes on after what is complete, \d+ volumes?)/,
		);
	} else if (committed && !left.some((name) => name.startsWith('tsdup-index.'))) {
		assert.match(said, /was interrupted after its backup was complete: index completed/);
	}
	assert.ok(!done || committed);
	await bench.isWhole();
	return said;
}

test('a run killed at random moments leaves the collection whole, and the next run heals it', async (t) => {
	const box = sandbox();
	after(() => box.remove());
	const path = join(box.dir, 'target');
	mkdirSync(path);
	const stock = { url: `file://${path}`, env: { PASSPHRASE } };
	const bench = new Bench(box, { location: { kind: 'file', path }, stock, fileSize: 3_000_000 });
	profile(
		box,
		'p',
		`SOURCE='${bench.source}'\nTARGET='file://${path}'\nGPG_PW='${PASSPHRASE}'\nDUPL_PARAMS='--volsize 1'\n`,
	);
	await t.test('the first full, with one volume stored', async () => {
		await crashAndHeal(bench, asking(/vol2/));
	});
	bench.edit();
	const { ms } = await bench.kill(() => false, '--full');
	await bench.noteCommitted();
	const random = seededRandom(20_101_004);
	for (let i = 0; i < MOMENTS; i++) {
		// One in each part of what a run takes, at a random place in it.
		const limit = ((i + random()) / MOMENTS) * ms;
		const options = i % 2 === 0 ? ['--full'] : [];
		const name = `after ${limit.toFixed()} of ${ms.toFixed()} ms ${options}`;
		await t.test(name, async () => {
			await crashAndHeal(bench, elapsed(limit), ...options);
		});
	}
	for (const part of ['sigtar', 'manifest'] as const) {
		await t.test(`when its ${part} is there, and nothing after it`, async () => {
			await crashAndHeal(bench, part);
		});
	}
	await t.test('when its segment is about to appear', async () => {
		await crashAndHeal(bench, asking(/segment/));
	});
	await t.test('a mount then shows every backup that was committed', () => bench.mountShowsAll());
});

test('a host that has only the public key heals a run that was killed before its segment', async () => {
	const box = sandbox();
	after(() => box.remove());
	const keys = join(import.meta.dirname, '../../test/fixtures/keys');
	execFileSync('gpg', ['--batch', '--quiet', '--import', join(keys, 'ecc.public.asc')], { env: box.env });
	const reader = {
		...box.env,
		GNUPGHOME: join(box.dir, 'secret-gnupg'),
		XDG_CACHE_HOME: join(box.dir, 'reader-cache'),
	};
	mkdirSync(reader.GNUPGHOME, { mode: 0o700 });
	execFileSync('gpg', ['--batch', '--quiet', '--import', join(keys, 'ecc.secret.asc')], { env: reader });
	after(() => execFileSync('gpgconf', ['--kill', 'all'], { env: reader, stdio: 'ignore' }));

	const path = join(box.dir, 'target');
	mkdirSync(path);
	const stock = { url: `file://${path}`, env: { PASSPHRASE: '' } };
	const bench = new Bench(box, { location: { kind: 'file', path }, stock, reader, fileSize: 500_000 });
	profile(box, 'p', `SOURCE='${bench.source}'\nTARGET='file://${path}'\nGPG_KEY='CEECE5A728A78B25'\n`);
	await bench.backup();
	// On a busy machine the run may get further before it is killed: then it is killed again.
	let healed = '';
	for (let i = 0; i < 5 && !/index completed/.test(healed); i++)
		healed = await crashAndHeal(bench, 'manifest');
	assert.match(healed, /index completed/);
	assert.match(healed, /^Incremental backup/m);
	await crashAndHeal(bench, 'sigtar');
	await bench.mountShowsAll();
});

test('on S3, too, and no multipart upload is left over', async (t) => {
	const box = sandbox();
	after(() => box.remove());
	const server = await startRadosgw();
	after(() => server.stop());
	const location = await server.createBucket('crash');
	const client = connect(location);
	const uploads = async () =>
		(await client.send(new ListMultipartUploadsCommand({ Bucket: 'crash' }))).Uploads?.length ?? 0;
	const credentials = {
		AWS_ACCESS_KEY_ID: server.accessKeyId,
		AWS_SECRET_ACCESS_KEY: server.secretAccessKey,
		AWS_DEFAULT_REGION: 'us-east-1',
	};
	const stock = {
		url: 'boto3+s3://crash',
		options: ['--s3-endpoint-url', server.endpoint],
		env: { ...credentials, PASSPHRASE },
	};
	// A volume is more than a part (8 MiB).
	const bench = new Bench(box, { location, stock, fileSize: 9_000_000 });
	profile(
		box,
		'p',
		[
			`SOURCE='${bench.source}'`,
			`TARGET='boto3+s3://crash'`,
			`TARGET_USER='${server.accessKeyId}'`,
			`TARGET_PASS='${server.secretAccessKey}'`,
			`GPG_PW='${PASSPHRASE}'`,
			`DUPL_PARAMS='--volsize 50 --s3-endpoint-url ${server.endpoint}'`,
		].join('\n'),
	);
	await bench.backup();
	let open = 0;
	const uploading: Moment = async () => {
		open = await uploads();
		return open > 0;
	};
	await t.test('while a volume is uploaded', async () => {
		// On a busy machine an upload may be over before it was seen.
		for (let i = 0; i < 12 && open === 0; i++) {
			await crashAndHeal(bench, uploading);
			assert.equal(await uploads(), 0);
		}
		assert.ok(open > 0, 'no run was killed with an upload open');
	});
	for (const part of ['sigtar', 'manifest'] as const) {
		await t.test(`when its ${part} is there, and nothing after it`, async () => {
			await crashAndHeal(bench, part);
			assert.equal(await uploads(), 0);
		});
	}
	await bench.mountShowsAll();
});
