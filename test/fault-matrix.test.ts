/**
 * A backup to a real S3 server whose requests go wrong: it completes, or ends with its cause named, and never wrongly: what
 * stock duplicity then verifies is the source, the next run completes what is left, and nothing is left over.
 */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { appendFileSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { ListMultipartUploadsCommand } from '@aws-sdk/client-s3';
import { connect } from '../src/target/s3-client.js';
import type { S3Location } from '../src/target/url.js';
import { duplicity, type Ended, ended, profile, sandbox, startTsdup, tsdup } from './cli.js';
import { type Radosgw, startRadosgw } from './radosgw.js';
import {
	afterFirst,
	byChance,
	type Fault,
	type FaultOf,
	inWords,
	onlyFirst,
	type S3Proxy,
	startS3Proxy,
} from './s3-proxy.js';

const PASSPHRASE = 'a passphrase of the fault matrix';

let server: Radosgw;
before(async () => {
	server = await startRadosgw();
});
after(() => server.stop());

/** A source of three volumes, one of which takes two parts, its bucket, and a proxy between. */
class Case {
	readonly box = sandbox();
	readonly source = join(this.box.dir, 'source');
	location!: S3Location;
	proxy!: S3Proxy;
	fault: FaultOf = () => undefined;
	readonly #bucket: string;

	constructor(bucket: string) {
		this.#bucket = bucket;
		mkdirSync(this.source);
		writeFileSync(join(this.source, 'a'), randomBytes(3_000_000));
		writeFileSync(join(this.source, 'b'), randomBytes(9_000_000));
		for (let i = 0; i < 5; i++) writeFileSync(join(this.source, `c-${i}`), randomBytes(1000 * i));
	}

	async start(): Promise<this> {
		this.location = await server.createBucket(this.#bucket);
		this.proxy = await startS3Proxy(server.endpoint, (request) => this.fault(request));
		after(() => {
			this.proxy.stop();
			this.box.remove();
		});
		profile(
			this.box,
			'p',
			[
				`SOURCE='${this.source}'`,
				`TARGET='s3:///${this.#bucket}/p'`,
				`TARGET_USER='${server.accessKeyId}'`,
				`TARGET_PASS='${server.secretAccessKey}'`,
				`GPG_PW='${PASSPHRASE}'`,
				`DUPL_PARAMS='--volsize 4 --timeout 4 --s3-endpoint-url ${this.proxy.endpoint}'`,
			].join('\n'),
		);
		return this;
	}

	backup(...options: string[]): Promise<Ended> {
		return tsdup(['backup', 'p', ...options], this.box);
	}

	/** Enough for another volume. */
	edit(): void {
		appendFileSync(join(this.source, 'a'), randomBytes(1000));
		writeFileSync(join(this.source, 'b'), randomBytes(5_000_000));
	}

	async isRight(): Promise<void> {
		const env = {
			...this.box.env,
			PASSPHRASE,
			AWS_ACCESS_KEY_ID: server.accessKeyId,
			AWS_SECRET_ACCESS_KEY: server.secretAccessKey,
		};
		const url = ['--s3-endpoint-url', server.endpoint, `boto3+s3://${this.#bucket}/p`];
		const verified = await duplicity(['verify', '--compare-data', ...url, this.source], { env });
		assert.equal(verified.code, 0, verified.stdout + verified.stderr);
		const status = await tsdup(['--json', 'status', 'p'], this.box);
		const { summary } = JSON.parse(status.stdout.trim().split('\n').at(-1) as string);
		assert.deepEqual([summary.orphans, summary.foreign], [0, 0]);
		const query = new ListMultipartUploadsCommand({ Bucket: this.#bucket });
		assert.deepEqual((await connect(this.location).send(query)).Uploads ?? [], []);
	}
}

const MENDED: readonly Fault[] = [
	{ delay: 200 },
	{ refuse: { status: 500, code: 'InternalError' } },
	{ refuse: { status: 503, code: 'SlowDown' } },
	{ cutRequestAfter: 50_000 },
	{ cutAfter: 0 },
	{ stall: true },
	{ flipRequest: 100 },
];

test('with a third of its requests going wrong at random, a backup completes, and stock finds the source', async () => {
	const run = await new Case('random').start();
	run.fault = byChance(20_101_004, 0.3, MENDED);
	let retries = 0;
	for (let i = 0; i < 2; i++) {
		const { code, stdout, stderr } = await run.backup('--json');
		assert.equal(code, 0, stderr);
		const { summary } = JSON.parse(stdout.trim().split('\n').at(-1) as string);
		retries += summary.retries;
		assert.ok(summary.requests.put >= 4 && summary.requests.list >= 1);
		run.edit();
	}
	assert.ok(retries > 0);
	run.fault = () => undefined;
	assert.equal((await run.backup()).code, 0);
	await run.isRight();
});

test('each failure that stays ends the run with its cause, and the next run makes it good', async (t) => {
	const run = await new Case('stays').start();
	const refused = (status: number, code: string) => ({ refuse: { status, code } });
	const cases: [string, FaultOf, RegExp][] = [
		['no rights from the start', () => refused(403, 'AccessDenied'), /access denied; check the rights/],
		[
			'rights that end',
			afterFirst(1, refused(403, 'AccessDenied'), /^PUT/),
			/access denied; check the rights/,
		],
		[
			'an expired token',
			afterFirst(2, refused(403, 'ExpiredToken'), /^PUT/),
			/the session token has expired/,
		],
		[
			'a full store',
			afterFirst(0, refused(403, 'QuotaExceeded'), /PUT.*difftar/),
			/the storage quota is used up/,
		],
		['a sigtar that is refused', onlyFirst(1, refused(403, 'AccessDenied'), /PUT.*sigtar/), /access denied/],
		[
			'a manifest that is refused',
			onlyFirst(1, refused(403, 'AccessDenied'), /PUT.*manifest/),
			/access denied/,
		],
		[
			'a segment that is refused',
			onlyFirst(1, refused(403, 'AccessDenied'), /PUT.*segment/),
			/access denied/,
		],
	];
	for (const [name, fault, cause] of cases) {
		await t.test(name, async () => {
			run.edit();
			run.fault = fault;
			const { code, stderr } = await run.backup();
			assert.equal(code, 7, stderr);
			assert.match(stderr, cause);
			run.fault = () => undefined;
			const healed = await run.backup();
			assert.equal(healed.code, 0, healed.stderr);
		});
	}
	await run.isRight();
});

test('with a clock that is an hour wrong, either way, a backup completes', async () => {
	const run = await new Case('clock').start();
	// Ahead at last: stock does not look at sets that are ahead of its own clock.
	for (const hours of [-1, 0, 1]) {
		run.edit();
		const skew = `const now = Date.now; Date.now = () => now() + ${hours * 3_600_000};
			const Real = Date; globalThis.Date = class extends Real { constructor(...a) { super(...(a.length ? a : [Date.now()])); } };
			globalThis.Date.now = () => now() + ${hours * 3_600_000};`;
		const path = join(run.box.dir, 'skew.mjs');
		writeFileSync(path, skew);
		const { code, stderr } = await tsdup(['backup', 'p'], {
			env: { ...run.box.env, NODE_OPTIONS: `--import ${path}` },
		});
		assert.equal(code, 0, stderr);
		if (hours === 0) await run.isRight();
	}
});

/** In a normal test run a part of all moments; TSDUP_TESTS=all takes each of them. */
const EVERY = process.env.TSDUP_TESTS === 'all' ? 1 : 2;

describe('killed after a request to the storage was answered', () => {
	test('each in turn: the next run completes, nothing is left over, stock finds the source', async (t) => {
		const run = await new Case('crash').start();
		for (let number = 1; ; number += EVERY) {
			if (number > EVERY) run.edit();
			let seen = 0;
			let last = '';
			const child = startTsdup(['backup', 'p', ...(number % 4 === 1 ? ['--full'] : [])], run.box);
			run.fault = (request) => {
				if (++seen < number) return undefined;
				last = inWords(request);
				// Nothing of the answer comes through: the process is gone.
				return { answered: async () => void child.kill('SIGKILL'), cutAfter: 0 };
			};
			const { code, stderr } = await ended(child);
			run.fault = () => undefined;
			if (code === 0) break;
			await t.test(`request ${number}: ${last.replace(/\d{8}T\d{6}Z/g, 'T').slice(0, 80)}`, async () => {
				assert.equal(code, 128 + 9, stderr);
				const next = await run.backup();
				assert.equal(next.code, 0, next.stderr);
				await run.isRight();
			});
		}
	});
});
