/**
 * A collection whose backups have made-up times, in the past as in the life of a collection, with what each must hold. The
 * backups are made in this process: its environment must be the sandbox's.
 */
import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { backup } from '../src/backup/backup.js';
import { openProfile } from '../src/collection/access.js';
import type { ListedObject } from '../src/collection/backup-set.js';
import { parseName } from '../src/collection/names.js';
import type { Entry } from '../src/index/entry.js';
import { restore } from '../src/restore/restore.js';
import { openSnapshots } from '../src/snapshots/open.js';
import { duplicity, type Ended, profile, type Sandbox } from './cli.js';
import { bytesFrom } from './seeded.js';
import type { StockAccess } from './stock.js';
import { assertSameTree, type Comparison, describeTree, type TreeEntry } from './tree.js';

const DAY = 86_400;

export class History {
	readonly source: string;
	readonly name: string;
	/** By set time, s. */
	readonly trees = new Map<number, TreeEntry[]>();
	readonly #box: Sandbox;
	readonly #dir: string;
	readonly #stock: StockAccess;
	readonly #now = Math.floor(Date.now() / 1000);
	readonly #bigSize: number;
	#steps = 0;

	/** @param conf lines besides SOURCE. @param bigSize bytes of the largest file, of which each step changes a part */
	constructor(box: Sandbox, name: string, conf: string, stock: StockAccess, { bigSize = 300_000 } = {}) {
		this.#bigSize = bigSize;
		this.#box = box;
		this.name = name;
		this.#stock = stock;
		this.source = join(box.dir, `source-${name}`);
		this.#dir = profile(box, name, `SOURCE='${this.source}'\n${conf}\n`);
		mkdirSync(join(this.source, 'folder'), { recursive: true });
		writeFileSync(join(this.source, 'big'), bytesFrom('big', this.#bigSize));
		for (let i = 0; i < 20; i++) writeFileSync(join(this.source, 'folder', `file ${i}`), `file ${i}`);
	}

	/** @param days before now. @returns the set's time, s */
	async backup(days: number, mode: 'full' | 'incremental'): Promise<number> {
		this.#steps++;
		const path = (name: string) => join(this.source, 'folder', name);
		writeFileSync(path(`file ${this.#steps}`), `changed in step ${this.#steps}`);
		writeFileSync(path(`new ${this.#steps}`), bytesFrom(`new ${this.#steps}`, 1000));
		rmSync(path(`file ${19 - this.#steps}`), { force: true });
		const bytes = bytesFrom('big', this.#bigSize);
		bytes.fill(this.#steps, 1000 * this.#steps, 1000 * this.#steps + 500);
		writeFileSync(join(this.source, 'big'), bytes);
		const access = await openProfile(this.#dir, { create: true });
		const { set } = await backup({
			...access,
			source: Buffer.from(this.source),
			selection: { select: () => 'include' },
			encryptor: await access.encryptor(),
			publicKeys: false,
			mode,
			fullIfBefore: null,
			volumeSize: 1 << 20,
			dryRun: false,
			plan: 'history',
			selectsByAge: false,
			now: this.#now - days * DAY,
			reporter: { note: () => {}, taken: () => {}, warn: assert.fail, progress: () => {}, would: () => {} },
		});
		this.trees.set(set.time, describeTree(Buffer.from(this.source)));
		return set.time;
	}

	async objects(): Promise<ListedObject[]> {
		const { target } = await openProfile(this.#dir);
		return target.list();
	}

	/** The target has exactly the sets of these times, each with its segment, and nothing else. */
	async assertHolds(times: readonly number[], before: readonly ListedObject[]): Promise<void> {
		const ofSets = before.filter(({ name }) => times.includes(parseName(name)?.time ?? 0));
		assert.deepEqual(sorted(await this.objects()), sorted(ofSets));
	}

	/**
	 * tsdup shows the sets of these times and no others, and restores them; stock sees them and nothing left over, verifies
	 * the newest, and restores the oldest.
	 */
	async assertComesBack(times: readonly number[]): Promise<void> {
		await this.assertRestores(times);
		const status = await this.stock(['collection-status']);
		assert.match(status.stdout, /^No orphaned or incomplete backup sets found\.$/m);
		const rows = status.stdout.match(/^ +(Full|Incremental) {2,}/gm) ?? [];
		assert.equal(rows.length, times.length, status.stdout);
		await this.stock(['verify', '--compare-data'], this.source);
		const [oldest = 0] = times;
		const to = join(this.#box.dir, 'stock');
		await this.stock(['restore', '-t', String(oldest)], to);
		this.#assertTree(to, oldest, { symlinkTimes: false });
		rmSync(to, { recursive: true });
	}

	/** tsdup shows the sets of these times and no others, each as the source was. */
	async assertRestores(times: readonly number[]): Promise<void> {
		assert.deepEqual(await this.restoreShown(), times);
	}

	/** @returns times of the sets that tsdup shows, s; each is as the source was */
	async restoreShown(cacheDir?: string): Promise<number[]> {
		const access = await openProfile(this.#dir);
		const { snapshots, close } = await openSnapshots(
			{ ...access, ...(cacheDir && { cacheDir }) },
			{ note: () => {}, taken: () => {} },
		);
		for (const set of snapshots.sets()) {
			const to = mkdtempSync(join(this.#box.dir, 'restored-'));
			const { problems } = await restore(snapshots, set, snapshots.root(set) as Entry, Buffer.from(to));
			assert.deepEqual(problems, []);
			this.#assertTree(to, set.time);
			rmSync(to, { recursive: true });
		}
		close();
		return snapshots.sets().map(({ time }) => time);
	}

	#assertTree(folder: string, time: number, comparison?: Comparison): void {
		const expected = this.trees.get(time) as TreeEntry[];
		assertSameTree(describeTree(Buffer.from(folder)), expected, `the set of ${time}`, comparison);
	}

	/** Runs duplicity, which must succeed. Its archive folder stays from call to call. */
	async stock(command: readonly string[], ...paths: readonly string[]): Promise<Ended> {
		const { url, options, env } = this.#stock;
		const ended = await duplicity([...command, ...options, url, ...paths], {
			env: { ...this.#box.env, ...env },
		});
		assert.equal(ended.code, 0, `duplicity ${command.join(' ')}\n${ended.stdout}\n${ended.stderr}`);
		return ended;
	}
}

function sorted(objects: readonly ListedObject[]): string[] {
	return objects.map(({ name, size }) => `${name} ${size}`).sort();
}
