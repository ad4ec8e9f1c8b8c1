/**
 * A run that was interrupted is gone on with after its last complete volume: what was stored is not stored again, and what
 * comes out is right, whatever the source did meanwhile.
 */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import {
	appendFileSync,
	existsSync,
	mkdirSync,
	readdirSync,
	readFileSync,
	rmSync,
	writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { parseName } from '../src/collection/names.js';
import type { Request } from '../src/target/recording.js';
import { duplicity, ended, profile, type Sandbox, sandbox, startTsdup, tsdup } from './cli.js';
import { Gate } from './crash-bench.js';
import { type Radosgw, startRadosgw } from './radosgw.js';
import { type FaultOf, startS3Proxy } from './s3-proxy.js';
import { assertSameTree, describeTree } from './tree.js';

const PASSPHRASE = 'a passphrase of the resume test';

/** A source of about twelve volumes, one of whose files takes seven of them; and a target. */
class Case {
	readonly box: Sandbox = sandbox();
	readonly source = join(this.box.dir, 'source');
	readonly target = join(this.box.dir, 'target');
	readonly #trace = join(this.box.dir, 'trace');
	#conf = '';

	constructor() {
		mkdirSync(join(this.source, 'folder'), { recursive: true });
		mkdirSync(this.target);
		for (let i = 0; i < 4; i++) this.write(`a-${i}`, 1_500_000 + i);
		this.write('big', 16_300_000);
		for (let i = 0; i < 20; i++) this.write(`folder/${i}`, 1000 * i);
		for (let i = 0; i < 4; i++) this.write(`z-${i}`, 1_500_000 + i);
		this.profile('');
	}

	write(name: string, size: number): void {
		writeFileSync(join(this.source, name), randomBytes(size));
	}

	profile(more: string): void {
		this.#conf = `SOURCE='${this.source}'\nTARGET='file://${this.target}'\nGPG_PW='${PASSPHRASE}'\nDUPL_PARAMS='--volsize 1'\n`;
		profile(this.box, 'p', this.#conf + more);
	}

	/** Killed before the volume is stored: when the one before it has just been let in. Up to two may not be complete then. */
	async killAt(volume: number, ...options: string[]): Promise<void> {
		const gate = new Gate(join(this.box.dir, 'gate'));
		const env = { ...this.box.env, TSDUP_TRACE: gate.path };
		const child = startTsdup(['backup', 'p', ...options], { env });
		const end = ended(child);
		const wanted = new RegExp(`"put".*\\.vol${volume - 1}\\.`);
		while (child.exitCode === null && !wanted.test(await gate.letOneIn()));
		child.kill('SIGKILL');
		assert.equal((await end).code, 128 + 9, 'the run was over before it was killed');
	}

	/** @returns what it said, and the numbers of the volumes that it stored, by set */
	async backup(...options: string[]): Promise<{ said: string; stored: Map<number, number[]> }> {
		rmSync(this.#trace, { force: true });
		const env = { ...this.box.env, TSDUP_TRACE: this.#trace };
		const { code, stdout, stderr } = await tsdup(['backup', 'p', ...options], { env });
		assert.equal(code, 0, stderr);
		const stored = new Map<number, number[]>();
		for (const line of this.#traced().split('\n').filter(Boolean)) {
			const { op, name = '' } = JSON.parse(line) as Request;
			const parsed = parseName(name);
			if (op !== 'put' || !parsed?.volume) continue;
			stored.set(parsed.time, [...(stored.get(parsed.time) ?? []), parsed.volume]);
		}
		return { said: stdout + stderr, stored };
	}

	#traced(): string {
		return existsSync(this.#trace) ? readFileSync(this.#trace, 'utf8') : '';
	}

	/** Set times on the target, with a manifest or without one. */
	times(): number[] {
		const times = readdirSync(this.target).map((name) => parseName(name)?.time ?? 0);
		return [...new Set(times.filter((time) => time > 0))].sort();
	}

	/** Stock and tsdup restore the source as it is, and nothing is left over. */
	async isRight(): Promise<void> {
		const { env, dir } = this.box;
		const url = `file://${this.target}`;
		const stock = { ...env, PASSPHRASE };
		const verified = await duplicity(['verify', '--compare-data', url, this.source], { env: stock });
		assert.equal(verified.code, 0, verified.stdout + verified.stderr);
		const status = await tsdup(['--json', 'status', 'p'], { env });
		const { summary } = JSON.parse(status.stdout.trim().split('\n').at(-1) as string);
		assert.equal(summary.orphans, 0);
		const pending = execFileSync('find', [join(dir, 'cache'), '-path', '*/pending/*']).toString();
		assert.equal(pending, '');
		const to = join(dir, 'restored');
		const restored = await tsdup(['restore', 'p', to], { env });
		assert.equal(restored.code, 0, restored.stderr);
		assertSameTree(describeTree(Buffer.from(to)), describeTree(Buffer.from(this.source)), 'restored');
		rmSync(to, { recursive: true });
	}
}

const GOES_ON = /was interrupted: it goes on after what is complete, (\d+) volumes?/;

function keptVolumes(said: string): number {
	return Number(GOES_ON.exec(said)?.[1] ?? Number.NaN);
}

describe('a killed run', () => {
	for (const volume of [5, 8]) {
		test(`is gone on with, under the same time (killed at volume ${volume})`, async () => {
			const run = new Case();
			after(() => run.box.remove());
			await run.killAt(volume);
			const [time, ...more] = run.times();
			assert.deepEqual(more, []);
			const { said, stored } = await run.backup();
			const kept = keptVolumes(said);
			// Killed when the volume before it had just been written: two others may still be on their way.
			assert.ok(kept >= volume - 4 && kept >= 1 && kept < volume, said);
			assert.deepEqual([...stored.keys()], [time]);
			assert.equal(Math.min(...(stored.get(time as number) ?? [])), kept + 1);
			assert.deepEqual(run.times(), [time]);
			await run.isRight();
		});
	}

	test('knows of what it stored before it was killed when an edit puts the time back', async () => {
		const run = new Case();
		after(() => run.box.remove());
		await run.killAt(8);
		assert.match((await run.backup()).said, GOES_ON);
		const edit = `touch -r a-1 ../time; printf edited | dd of=a-1 bs=1 seek=1000 conv=notrunc status=none; touch -r ../time a-1`;
		execFileSync('bash', ['-ec', edit], { cwd: run.source });
		await run.backup();
		await run.isRight();
	});

	test('is gone on with more than once', async () => {
		const run = new Case();
		after(() => run.box.remove());
		await run.killAt(4);
		await run.killAt(7);
		await run.killAt(9);
		const { said } = await run.backup();
		assert.ok(keptVolumes(said) >= 5, said);
		assert.equal(run.times().length, 1);
		await run.isRight();
	});

	test('that was an increment is gone on with, too', async () => {
		const run = new Case();
		after(() => run.box.remove());
		await run.backup();
		for (const name of ['a-1', 'z-1', 'z-2']) appendFileSync(join(run.source, name), 'more');
		const big = readFileSync(join(run.source, 'big'));
		for (let at = 0; at < big.length; at += 1000) big[at] = (big[at] as number) ^ 1;
		writeFileSync(join(run.source, 'big'), big);
		rmSync(join(run.source, 'a-0'));
		run.write('a-2', 9_000_000);
		run.write('z-3', 9_000_000);
		await run.killAt(4);
		const { said, stored } = await run.backup();
		assert.ok(keptVolumes(said) >= 1, said);
		assert.equal(stored.size, 1);
		assert.equal(run.times().length, 2);
		await run.isRight();
	});

	test('whose stored files have changed since is completed, and an increment follows', async () => {
		const run = new Case();
		after(() => run.box.remove());
		await run.killAt(9);
		run.write('a-1', 300_000);
		rmSync(join(run.source, 'a-2'));
		run.write('a-2b', 10);
		const { said, stored } = await run.backup();
		assert.match(said, GOES_ON);
		assert.match(said, /has changed since: an incremental one follows/);
		assert.match(said, /^Incremental backup/m);
		assert.equal(stored.size, 2);
		await run.isRight();
	});

	test('goes on from before a file that it ended in the middle of, when that file has changed', async () => {
		const run = new Case();
		after(() => run.box.remove());
		await run.killAt(6);
		appendFileSync(join(run.source, 'big'), 'x');
		const { said } = await run.backup();
		assert.ok(keptVolumes(said) <= 3 && keptVolumes(said) >= 1, said);
		assert.equal(run.times().length, 1);
		await run.isRight();
	});

	test('goes on from before that file when it is gone', async () => {
		const run = new Case();
		after(() => run.box.remove());
		await run.killAt(6);
		rmSync(join(run.source, 'big'));
		const { said } = await run.backup();
		assert.ok(keptVolumes(said) <= 3, said);
		await run.isRight();
	});

	test('begins anew when something else is to be backed up now, or a volume is missing', async () => {
		const run = new Case();
		after(() => run.box.remove());
		await run.killAt(5);
		const dir = run.box.env.TSDUP_PROFILES as string;
		writeFileSync(join(dir, 'p/exclude'), `- ${run.source}/a-0\n`);
		assert.match((await run.backup()).said, /was interrupted: its remains, \d+ objects?, were removed/);
		rmSync(join(dir, 'p/exclude'));
		await run.killAt(5, '--full');
		const first = readdirSync(run.target).find((name) => {
			return parseName(name)?.volume === 1 && parseName(name)?.time === run.times().at(-1);
		});
		rmSync(join(run.target, first as string));
		assert.match(
			(await run.backup('--full')).said,
			/was interrupted: its remains, \d+ objects?, were removed/,
		);
		await run.isRight();
	});

	test('whose journal is damaged is gone on with as far as it can be read, or begun anew', async () => {
		const run = new Case();
		after(() => run.box.remove());
		await run.killAt(8);
		const cache = join(run.box.dir, 'cache');
		const [journal] = execFileSync('find', [cache, '-name', 'journal.*']).toString().trim().split('\n');
		const bytes = readFileSync(journal as string);
		assert.ok(!bytes.includes('folder'), 'names stand in it readable');
		const middle = Math.floor(bytes.length / 2);
		bytes[middle] = (bytes[middle] as number) ^ 1;
		writeFileSync(journal as string, bytes);
		assert.match((await run.backup()).said, /was interrupted/);
		await run.isRight();
	});
});

describe('on S3, a run that fails in the middle', () => {
	let server: Radosgw;
	before(async () => {
		server = await startRadosgw();
	});
	after(() => server.stop());

	test('keeps what is complete, says so, and is gone on with', async () => {
		const run = new Case();
		after(() => run.box.remove());
		await server.createBucket('resume');
		let puts = 0;
		let fault: FaultOf = ({ method }) => {
			const expired = method === 'PUT' && ++puts > 5;
			return expired ? { refuse: { status: 403, code: 'ExpiredToken' } } : undefined;
		};
		const proxy = await startS3Proxy(server.endpoint, (request) => fault(request));
		after(() => proxy.stop());
		const credentials = `TARGET_USER='${server.accessKeyId}'\nTARGET_PASS='${server.secretAccessKey}'\n`;
		run.profile(
			`TARGET='s3:///resume/p'\n${credentials}DUPL_PARAMS='--volsize 1 --s3-endpoint-url ${proxy.endpoint}'\n`,
		);
		const failed = await tsdup(['backup', 'p'], { env: run.box.env });
		assert.equal(failed.code, 7, failed.stderr);
		assert.match(failed.stderr, /the session token has expired; get new AWS credentials/);
		assert.match(
			failed.stderr,
			/What is complete, \d volumes?, stays on the target: the next run goes on after it/,
		);
		fault = () => undefined;
		const { said } = await run.backup();
		assert.ok(keptVolumes(said) >= 3, said);
		const env = {
			...run.box.env,
			PASSPHRASE,
			AWS_ACCESS_KEY_ID: server.accessKeyId,
			AWS_SECRET_ACCESS_KEY: server.secretAccessKey,
		};
		const options = ['--s3-endpoint-url', server.endpoint, 'boto3+s3://resume/p'];
		const verified = await duplicity(['verify', '--compare-data', ...options, run.source], { env });
		assert.equal(verified.code, 0, verified.stdout + verified.stderr);
	});
});
