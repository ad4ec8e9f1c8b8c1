/**
 * A backup that is killed, at any moment, harms nothing: what was committed can be verified and restored by stock
 * duplicity, and the next run makes good what is left, by itself.
 */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import {
	closeSync,
	constants,
	mkdirSync,
	openSync,
	readdirSync,
	readSync,
	renameSync,
	rmSync,
	writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { ListMultipartUploadsCommand } from '@aws-sdk/client-s3';
import { parseName } from '../src/collection/names.js';
import { snapshotDateTime } from '../src/collection/times.js';
import { connect } from '../src/target/s3-client.js';
import { openTarget } from '../src/target/open.js';
import type { TargetLocation } from '../src/target/url.js';
import { duplicity, ended, profile, type Sandbox, sandbox, startTsdup, tsdup } from './cli.js';
import { startRadosgw } from './radosgw.js';
import { type Random, random } from './random.js';
import { assertSameTree } from './same-tree.js';

const PASSPHRASE = 'a passphrase of the crash test';
const SEED = 20101004;

/** When to kill: so many milliseconds after the start, or when the request that fits is about to be made. */
type Moment = number | RegExp;

/** A source that changes, a collection of its backups, and a copy of the source for each backup that was committed. */
class Bench {
	readonly box: Sandbox;
	readonly source: string;
	readonly copies = new Map<number, string>();
	readonly #random: Random;
	readonly #location: TargetLocation;
	readonly #stock: { url: string; options: string[]; env: NodeJS.ProcessEnv };
	#round = 0;

	constructor(
		box: Sandbox,
		location: TargetLocation,
		stock: { url: string; options?: string[]; env?: NodeJS.ProcessEnv },
	) {
		this.box = box;
		this.source = join(box.dir, 'source');
		this.#random = random(SEED);
		this.#location = location;
		this.#stock = {
			url: stock.url,
			options: stock.options ?? [],
			env: { ...box.env, PASSPHRASE, ...stock.env },
		};
		mkdirSync(join(this.source, 'folder'), { recursive: true });
		for (let i = 0; i < 60; i++) this.#write(`folder/small-${i}`, 100 * i);
		for (let i = 0; i < 3; i++) this.#write(`big-${i}`, 4_000_000);
	}

	/** Enough for more than one volume. */
	edit(): void {
		this.#round++;
		this.#write(`big-${this.#round % 3}`, 4_000_000);
		this.#write(`big-${(this.#round + 1) % 3}`, 4_000_000);
		this.#write(`folder/small-${this.#round}`, 1000 + this.#round);
		rmSync(join(this.source, `folder/small-${59 - this.#round}`), { force: true });
	}

	async run(...options: string[]): Promise<string> {
		const { code, stdout, stderr } = await tsdup(['backup', 'p', ...options], this.box);
		assert.equal(code, 0, stderr);
		return stdout + stderr;
	}

	/** Starts a backup and kills it. @returns whether it had not ended before */
	async kill(moment: Moment, ...options: string[]): Promise<boolean> {
		const trace = join(this.box.dir, 'trace');
		execFileSync('mkfifo', [trace]);
		// Opened for writing as well, so that neither side ever waits for the other.
		const fd = openSync(trace, constants.O_RDWR | constants.O_NONBLOCK);
		try {
			const child = startTsdup(['backup', 'p', ...options], {
				env: { ...this.box.env, TSDUP_TRACE: trace },
			});
			const end = ended(child);
			const until = Date.now() + (typeof moment === 'number' ? moment : 60_000);
			let seen = '';
			while (child.exitCode === null && Date.now() < until) {
				seen += readReady(fd);
				if (moment instanceof RegExp && moment.test(seen)) break;
				await sleep(1);
			}
			child.kill('SIGKILL');
			return (await end).code === 128 + 9;
		} finally {
			closeSync(fd);
			rmSync(trace);
		}
	}

	/** Names of the objects on the target; half-written ones, too, where it is a folder. */
	async objects(): Promise<string[]> {
		if (this.#location.kind === 'file') return readdirSync(this.#location.path);
		return (await (await openTarget(this.#location, { create: false })).list()).map(({ name }) => name);
	}

	/** Copies the source for each set that has its manifest since the last time. @returns whether there was any */
	async noteCommitted(): Promise<boolean> {
		const sets = (await this.objects()).map(parseName).filter((name) => name?.part === 'manifest');
		const fresh = sets.flatMap((set) => (set && !this.copies.has(set.time) ? [set.time] : []));
		for (const time of fresh) {
			const copy = join(this.box.dir, `copy-${time}`);
			execFileSync('cp', ['-a', this.source, copy]);
			this.copies.set(time, copy);
		}
		return fresh.length > 0;
	}

	get newest(): string {
		return this.copies.get(Math.max(...this.copies.keys())) as string;
	}

	/** Stock duplicity, with nothing in its archive folder, verifies and restores what was committed last. */
	async stockReads(): Promise<void> {
		const { url, options, env } = this.#stock;
		const archive = ['--archive-dir', join(this.box.dir, 'archive'), ...options];
		const restored = join(this.box.dir, 'stock');
		for (const words of [
			['verify', '--compare-data', ...archive, url, this.newest],
			['restore', ...archive, url, restored],
		]) {
			const { code, stdout, stderr } = await duplicity(words, { env });
			assert.equal(code, 0, stdout + stderr);
		}
		assertSameTree(restored, this.newest);
		rmSync(restored, { recursive: true });
		rmSync(join(this.box.dir, 'archive'), { recursive: true });
	}

	/** Nothing is left over, and tsdup restores the newest backup. */
	async isWhole(): Promise<void> {
		const status = await tsdup(['--json', 'status', 'p'], this.box);
		assert.equal(status.code, 0, status.stderr);
		const { summary } = JSON.parse(status.stdout.trim().split('\n').at(-1) as string);
		assert.deepEqual({ orphans: summary.orphans, sets: summary.sets }, { orphans: 0, sets: this.copies.size });
		const objects = (await this.objects()).map((name) => ({ name, parsed: parseName(name) }));
		assert.deepEqual(
			objects.filter(({ parsed }) => parsed === null),
			[],
		);
		assert.equal(objects.filter(({ parsed }) => parsed?.part === 'segment').length, this.copies.size);
		const restored = join(this.box.dir, 'restored');
		const { code, stderr } = await tsdup(['restore', 'p', restored], this.box);
		assert.equal(code, 0, stderr);
		assertSameTree(restored, this.newest);
		rmSync(restored, { recursive: true });
	}

	/** A mount, from an empty cache, shows every backup as the source was. */
	async mountShowsAll(): Promise<void> {
		const mountpoint = join(this.box.dir, 'mnt');
		mkdirSync(mountpoint);
		const env = { ...this.box.env, XDG_CACHE_HOME: join(this.box.dir, 'other-cache') };
		const { code, stderr } = await tsdup(['mount', '-p', 'p', mountpoint], { env });
		assert.equal(code, 0, stderr);
		for (const [time, copy] of this.copies) assertSameTree(join(mountpoint, snapshotDateTime(time)), copy);
		assert.equal((await tsdup(['umount', mountpoint], { env })).code, 0);
	}

	/** Replaced, not written in place. */
	#write(name: string, size: number): void {
		const path = join(this.source, name);
		writeFileSync(`${path}.new`, this.#random.bytes(size));
		renameSync(`${path}.new`, path);
	}
}

function readReady(fd: number): string {
	const buffer = Buffer.alloc(65536);
	try {
		return buffer.toString('latin1', 0, readSync(fd, buffer));
	} catch (error) {
		if ((error as NodeJS.ErrnoException).code === 'EAGAIN') return '';
		throw error;
	}
}

/** One killed run, what stock says of the target then, and the run after it. */
async function crashAndHeal(bench: Bench, moment: Moment, ...options: string[]): Promise<void> {
	bench.edit();
	const before = new Set(await bench.objects());
	const killed = await bench.kill(moment, ...options);
	const left = (await bench.objects()).filter((name) => !before.has(name));
	const committed = await bench.noteCommitted();
	const hasSegment = left.some((name) => name.startsWith('tsdup-index.'));
	if (bench.copies.size > 0) await bench.stockReads();
	const said = await bench.run();
	if (killed && !committed && left.some((name) => name.startsWith('duplicity-'))) {
		assert.match(said, /was interrupted: its \d+ objects were removed/);
	}
	if (committed && !hasSegment) {
		assert.match(said, /was interrupted after its backup was complete: index completed/);
	}
	await bench.noteCommitted();
	await bench.isWhole();
}

test('a run killed at ten random moments leaves the collection whole, and the next run heals it', async (t) => {
	const box = sandbox();
	after(() => box.remove());
	const path = join(box.dir, 'target');
	const bench = new Bench(box, { kind: 'file', path }, { url: `file://${path}` });
	profile(
		box,
		'p',
		`SOURCE='${bench.source}'\nTARGET='file://${path}'\nGPG_PW='${PASSPHRASE}'\nDUPL_PARAMS='--volsize 1'\n`,
	);
	mkdirSync(path);
	await crashAndHeal(bench, /"put".*vol2/, '--full');
	bench.edit();
	const started = Date.now();
	await bench.run('--full');
	const duration = Date.now() - started;
	await bench.noteCommitted();
	const moments = random(SEED);
	for (let i = 0; i < 10; i++) {
		// One in each tenth of what a run takes, at a random place in it; the first tenths are the start of Node.
		const moment = Math.round(((i + moments.fraction()) / 10) * duration);
		const options = i % 3 === 0 ? ['--full'] : [];
		await t.test(`${moment} of ${duration} ms ${options}`, () => crashAndHeal(bench, moment, ...options));
	}
	for (const step of [/"put".*vol1/, /"put".*sigtar/, /"put".*manifest/, /"put".*segment/]) {
		await t.test(`when ${step} is asked for`, () => crashAndHeal(bench, step));
	}
	await t.test('a mount then shows every backup that was committed', () => bench.mountShowsAll());
});
