/**
 * A source that changes, a collection of its backups, and what each backup that was committed must hold; with backups
 * that are killed, and the checks that nothing was lost and nothing is left over. For crash.test.ts.
 */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import {
	closeSync,
	constants,
	linkSync,
	mkdirSync,
	openSync,
	readdirSync,
	readSync,
	renameSync,
	rmSync,
	writeFileSync,
} from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseName } from '../src/collection/names.js';
import { snapshotDateTime } from '../src/collection/times.js';
import { openTarget } from '../src/target/open.js';
import type { TargetLocation } from '../src/target/url.js';
import { duplicity, ended, type Sandbox, startTsdup, tsdup } from './cli.js';
import { assertSameTree, describeTree, type TreeEntry } from './tree.js';

/** Whether to kill now: `ms` since the first request to the target; `trace`: all requests, the last about to be made. */
export type Moment = (now: { ms: number; trace: string }) => boolean | Promise<boolean>;

export interface BenchOptions {
	readonly location: TargetLocation;
	/** How stock duplicity reaches it. */
	readonly stock: {
		readonly url: string;
		readonly options?: readonly string[];
		readonly env?: NodeJS.ProcessEnv;
	};
	/** Of a host that can open what is written; by default the one that writes. */
	readonly reader?: NodeJS.ProcessEnv;
	/** Bytes of each of three files, of which a run stores two. */
	readonly fileSize: number;
}

export class Bench {
	readonly source: string;
	/** By set time (s). */
	readonly committed = new Map<number, TreeEntry[]>();
	readonly #box: Sandbox;
	readonly #options: BenchOptions;
	readonly #reader: NodeJS.ProcessEnv;
	/** The source as of the set that was committed last. */
	readonly #copy: string;
	#round = 0;

	constructor(box: Sandbox, options: BenchOptions) {
		this.source = join(box.dir, 'source');
		this.#box = box;
		this.#options = options;
		this.#reader = options.reader ?? box.env;
		this.#copy = join(box.dir, 'copy');
		mkdirSync(join(this.source, 'folder'), { recursive: true });
		for (let i = 0; i < 40; i++) this.#write(`folder/small-${i}`, 100 * i);
		for (let i = 0; i < 3; i++) this.#write(`big-${i}`, options.fileSize);
	}

	/** Enough for more than one volume. */
	edit(): void {
		this.#round++;
		this.#write(`big-${this.#round % 3}`, this.#options.fileSize);
		this.#write(`big-${(this.#round + 1) % 3}`, this.#options.fileSize);
		this.#write(`folder/small-${this.#round}`, 1000 + this.#round);
		rmSync(join(this.source, `folder/small-${39 - this.#round}`), { force: true });
	}

	/** @returns what it said */
	async backup(...options: string[]): Promise<string> {
		const { code, stdout, stderr } = await tsdup(['backup', 'p', ...options], this.#box);
		assert.equal(code, 0, stderr);
		await this.noteCommitted();
		return stdout + stderr;
	}

	/** Starts a backup and kills it. @returns ms from the first request to the end, and whether it ended by itself */
	async kill(moment: Moment, ...options: string[]): Promise<{ ms: number; done: boolean }> {
		const path = join(this.#box.dir, 'trace');
		execFileSync('mkfifo', [path]);
		// Opened for writing as well, so that neither side ever waits for the other.
		const fd = openSync(path, constants.O_RDWR | constants.O_NONBLOCK);
		try {
			const env = { ...this.#box.env, TSDUP_TRACE: path };
			const child = startTsdup(['backup', 'p', ...options], { env });
			const end = ended(child);
			let trace = '';
			let first = Number.POSITIVE_INFINITY;
			const ms = () => Math.max(0, performance.now() - first);
			while (child.exitCode === null) {
				trace += readReady(fd).text;
				if (trace !== '') first = Math.min(first, performance.now());
				if (trace !== '' && (await moment({ ms: ms(), trace }))) break;
				await sleep(1);
			}
			const took = ms();
			child.kill('SIGKILL');
			const { code, stderr } = await end;
			assert.ok(code === 128 + 9 || code === 0, stderr);
			return { ms: took, done: code === 0 };
		} finally {
			closeSync(fd);
			rmSync(path);
		}
	}

	/** Kills a backup when its sigtar or manifest is on the target and the request after that was not made. */
	async killAfter(part: 'sigtar' | 'manifest'): Promise<{ done: boolean }> {
		const gate = new Gate(join(this.#box.dir, 'gate'));
		const before = new Set(await this.objects());
		const child = startTsdup(['backup', 'p'], { env: { ...this.#box.env, TSDUP_TRACE: gate.path } });
		const end = ended(child);
		const put = new RegExp(`"put".*\\.${part}\\.`);
		while (child.exitCode === null && !put.test(await gate.letOneIn()));
		const appeared = (name: string) => !before.has(name) && parseName(name)?.part === part;
		while (child.exitCode === null && !(await this.objects()).some(appeared)) await sleep(5);
		child.kill('SIGKILL');
		const { code, stderr } = await end;
		assert.equal(code, 128 + 9, stderr);
		return { done: false };
	}

	/** Names of the objects on the target; where it is a folder, of half-written ones, too. */
	async objects(): Promise<string[]> {
		const { location } = this.#options;
		if (location.kind === 'file') return readdirSync(location.path);
		return (await (await openTarget(location, { create: false })).list()).map(({ name }) => name);
	}

	/** Describes the source when there is a manifest that was not there the last time. @returns whether there was */
	async noteCommitted(): Promise<boolean> {
		const manifests = (await this.objects())
			.map((name) => parseName(name))
			.filter((name) => name?.part === 'manifest');
		const [time, ...more] = manifests.flatMap((set) =>
			set && !this.committed.has(set.time) ? [set.time] : [],
		);
		assert.equal(more.length, 0);
		if (time === undefined) return false;
		this.committed.set(time, describeTree(Buffer.from(this.source)));
		rmSync(this.#copy, { recursive: true, force: true });
		execFileSync('cp', ['-a', this.source, this.#copy]);
		return true;
	}

	/** Stock duplicity, with nothing in its archive folder, verifies and restores what was committed last. */
	async stockReads(): Promise<void> {
		const { url, options = [], env } = this.#options.stock;
		const archive = ['--archive-dir', join(this.#box.dir, 'archive'), ...options];
		const restored = join(this.#box.dir, 'stock');
		for (const words of [
			['verify', ...archive, url, this.#copy],
			['restore', ...archive, url, restored],
		]) {
			const { code, stdout, stderr } = await duplicity(words, { env: { ...this.#reader, ...env } });
			assert.equal(code, 0, stdout + stderr);
		}
		assertSameTree(describeTree(Buffer.from(restored)), this.#newest, 'what stock restored');
		rmSync(restored, { recursive: true });
		rmSync(join(this.#box.dir, 'archive'), { recursive: true });
	}

	/** Nothing is left over, and tsdup restores what was committed last. */
	async isWhole(): Promise<void> {
		const env = this.#reader;
		const status = await tsdup(['--json', 'status', 'p'], { env });
		assert.equal(status.code, 0, status.stderr);
		const { summary } = JSON.parse(status.stdout.trim().split('\n').at(-1) as string);
		const { orphans, sets, foreign } = summary;
		assert.deepEqual({ orphans, sets, foreign }, { orphans: 0, sets: this.committed.size, foreign: 0 });
		const names = await this.objects();
		const foreignNames = names.filter((name) => parseName(name) === null);
		assert.deepEqual(foreignNames, []);
		const segments = names.filter((name) => parseName(name)?.part === 'segment');
		assert.equal(segments.length, this.committed.size);
		const restored = join(this.#box.dir, 'restored');
		const { code, stderr } = await tsdup(['restore', 'p', restored], { env });
		assert.equal(code, 0, stderr);
		assertSameTree(describeTree(Buffer.from(restored)), this.#newest, 'what tsdup restored');
		rmSync(restored, { recursive: true });
	}

	/** A mount, from an empty cache, shows every backup as the source was. */
	async mountShowsAll(): Promise<void> {
		const mountpoint = join(this.#box.dir, 'mnt');
		mkdirSync(mountpoint);
		const env = { ...this.#reader, XDG_CACHE_HOME: join(this.#box.dir, 'empty-cache') };
		const { code, stderr } = await tsdup(['mount', '-p', 'p', mountpoint], { env });
		assert.equal(code, 0, stderr);
		const alone = this.committed.size === 1;
		for (const [time, tree] of this.committed) {
			const folder = join(mountpoint, alone ? 'latest' : snapshotDateTime(time));
			assertSameTree(describeTree(Buffer.from(`${folder}/.`)), tree, folder);
		}
		assert.equal((await tsdup(['umount', mountpoint], { env })).code, 0);
	}

	get #newest(): TreeEntry[] {
		return this.committed.get(Math.max(...this.committed.keys())) as TreeEntry[];
	}

	/** Replaced, not written in place. */
	#write(name: string, size: number): void {
		const path = join(this.source, name);
		writeFileSync(`${path}.new`, randomBytes(size));
		renameSync(`${path}.new`, path);
	}
}

/**
 * A trace file that lets one request in at a time: a pipe that no one reads keeps its writer waiting. It is exchanged for
 * a new one before it is read, so the request after that waits, too.
 */
export class Gate {
	readonly path: string;
	#count = 0;

	constructor(path: string) {
		this.path = path;
		for (const old of readdirSync(dirname(path))) {
			if (old.startsWith(basename(path))) rmSync(join(dirname(path), old));
		}
		this.#exchange();
	}

	/** @returns the request that was let in; empty when none was waiting */
	async letOneIn(): Promise<string> {
		// Whoever waits has opened the old pipe; whoever comes once the old one has a reader finds the new one.
		const old = `${this.path}.${this.#count}`;
		this.#exchange();
		const fd = openSync(old, constants.O_RDONLY | constants.O_NONBLOCK);
		try {
			for (let alone = 0; alone < 3; await sleep(1)) {
				const { text, writer } = readReady(fd);
				if (text !== '') return text;
				alone = writer ? 0 : alone + 1;
			}
			return '';
		} finally {
			closeSync(fd);
		}
	}

	#exchange(): void {
		const name = `${this.path}.${++this.#count}`;
		execFileSync('mkfifo', [name]);
		linkSync(name, `${name}.new`);
		renameSync(`${name}.new`, this.path);
	}
}
/** What a pipe holds, without waiting; and whether it is open for writing, when that is nothing. */
function readReady(fd: number): { text: string; writer: boolean } {
	const buffer = Buffer.alloc(65536);
	try {
		return { text: buffer.toString('latin1', 0, readSync(fd, buffer)), writer: false };
	} catch (error) {
		if ((error as NodeJS.ErrnoException).code === 'EAGAIN') return { text: '', writer: true };
		throw error;
	}
}
