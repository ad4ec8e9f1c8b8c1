/**
 * Stock duplicity as a reader of a chain of backups: whatever tsdup wrote, it lists, verifies and restores. Its own local
 * archive is in the home of the host that reads.
 */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { appendFileSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { duplicity, type Sandbox } from './cli.js';
import { assertSameTree, describeTree, type TreeEntry } from './tree.js';

export interface Snapshot {
	/** Seconds. */
	readonly time: number;
	readonly tree: readonly TreeEntry[];
}

/** How stock is to reach a collection. */
export interface StockAccess {
	readonly url: string;
	readonly options: readonly string[];
	readonly env?: NodeJS.ProcessEnv;
}

interface Chain {
	readonly sandbox: Sandbox;
	readonly reader: Sandbox;
	readonly source: string;
	readonly snapshots: readonly Snapshot[];
}

export class Stock {
	readonly #chain: Chain;
	readonly #access: StockAccess;

	constructor(chain: Chain, access: StockAccess) {
		this.#chain = chain;
		this.#access = access;
	}

	async #run(command: readonly string[], rest: readonly string[]): Promise<string> {
		const { options, env } = this.#access;
		const args = [...command, ...options, ...rest];
		const ended = await duplicity(args, { env: { ...this.#chain.reader.env, ...env } });
		assert.equal(ended.code, 0, `duplicity ${args.join(' ')}\n${ended.stdout}\n${ended.stderr}`);
		return ended.stdout;
	}

	/** Every set is there, with its volumes, in one chain, and nothing else. */
	async assertStatus(volumes: number): Promise<void> {
		const status = await this.#run(['collection-status'], [this.#access.url]);
		assert.match(status, /^Found 0 secondary backup chains\.$/m);
		assert.match(
			status,
			new RegExp(`^Number of contained backup sets: ${this.#chain.snapshots.length}$`, 'm'),
		);
		assert.match(status, new RegExp(`^Total number of contained volumes: ${volumes}$`, 'm'));
		assert.match(status, /^No orphaned or incomplete backup sets found\.$/m);
	}

	async assertVerifies(): Promise<void> {
		const report = await this.#run(['verify', '--compare-data'], [this.#access.url, this.#chain.source]);
		const files = describeTree(Buffer.from(this.#chain.source)).length;
		assert.match(
			report,
			new RegExp(`^Verify complete: ${files} files compared, 0 differences found\\.$`, 'm'),
		);
	}

	/** Stock lists exactly the paths of the snapshot, in the same order. */
	assertLists({ time, tree }: Snapshot): void {
		const { url, options, env } = this.#access;
		const args = ['list-current-files', '-t', String(time), ...options, url];
		const output = execFileSync('duplicity', args, {
			env: { ...this.#chain.reader.env, ...env },
			maxBuffer: 2 ** 28,
			stdio: ['ignore', 'pipe', 'ignore'],
		});
		// Each line is a date of 24 characters, a blank and the raw path; a path may itself hold a newline.
		const date = /^(Mon|Tue|Wed|Thu|Fri|Sat|Sun) (Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec) [ \d]\d /;
		const listed = output
			.toString('latin1')
			.split('\n')
			.reduce<string[]>((lines, line) => {
				if (date.test(line)) lines.push(line.slice(25));
				else if (lines.length > 0) lines.push(`${lines.pop()}\n${line}`);
				return lines;
			}, []);
		const last = listed.pop();
		assert.equal(last?.at(-1), '\n');
		listed.push(last.slice(0, -1));
		assert.deepEqual(
			listed,
			tree.map(({ path }) => path || '.'),
		);
	}

	/**
	 * Stock restores every snapshot, or those of the numbers in `only`: all but the times of symlinks.
	 * @returns the folders that it restored them to, by number of the snapshot
	 */
	async assertRestores(only?: readonly number[]): Promise<Map<number, string>> {
		const folders = new Map<number, string>();
		for (const [i, { time, tree }] of this.#chain.snapshots.entries()) {
			if (only && !only.includes(i)) continue;
			const to = join(mkdtempSync(join(this.#chain.sandbox.dir, 'stock-')), 'tree');
			await this.#run(['restore', '-t', String(time)], [this.#access.url, to]);
			assertSameTree(describeTree(Buffer.from(to)), tree, `snapshot ${i} by stock`, { symlinkTimes: false });
			folders.set(i, to);
		}
		return folders;
	}

	/** Stock can go on with the chain, and restores what it made of it. */
	async assertContinues(): Promise<void> {
		appendFileSync(join(this.#chain.source, 'edited'), 'by stock');
		writeFileSync(join(this.#chain.source, 'new by stock'), 'new');
		rmSync(join(this.#chain.source, 'touched'));
		await this.#run(['incr'], [this.#chain.source, this.#access.url]);
		await this.assertVerifies();
		const to = join(this.#chain.sandbox.dir, 'continued');
		await this.#run(['restore'], [this.#access.url, to]);
		const tree = describeTree(Buffer.from(this.#chain.source));
		assertSameTree(describeTree(Buffer.from(to)), tree, 'what stock added', { symlinkTimes: false });
	}
}
