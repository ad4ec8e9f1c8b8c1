/**
 * One source that two hosts back up, each to a target of its own: one passes over folders by their digests, the other knows none
 * before each run. Both must store the same, and say the same. Not encrypted, which is a third faster.
 */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type Database from 'better-sqlite3';
import type { SnapshotSet } from '../src/index/entry.js';
import { Index } from '../src/index/index.js';
import { type Ended, profile, type Sandbox, sandbox, tsdup } from './cli.js';
import { assertSameTree, describeTree } from './tree.js';

export type Side = 'with' | 'without';
const SIDES: readonly Side[] = ['with', 'without'];

export interface Summary {
	readonly entries: number;
	readonly newEntries: number;
	readonly changedEntries: number;
	readonly deletedEntries: number;
	readonly bytesRead: number;
	readonly warnings: number;
}

export class FolderPair {
	readonly box: Sandbox = sandbox();
	readonly source = join(this.box.dir, 'source');
	/** What both said in the last step besides the summary. */
	said = '';

	/** @param conf lines besides the usual ones */
	constructor(conf = '') {
		mkdirSync(this.source);
		for (const side of SIDES) this.configure(conf, side);
	}

	configure(conf: string, ...sides: Side[]): void {
		for (const side of sides.length > 0 ? sides : SIDES) {
			const lines = [`SOURCE='${this.source}'`, `TARGET='${this.url(side)}'`, `GPG_KEY='disabled'`];
			profile(this.#at(side), 'p', `${lines.join('\n')}\n${conf}\n`);
		}
	}

	/** The profile's list of excludes. */
	exclude(...lines: string[]): void {
		for (const side of SIDES) {
			writeFileSync(join(this.env(side).TSDUP_PROFILES as string, 'p/exclude'), `${lines.join('\n')}\n`);
		}
	}

	url(side: Side): string {
		return `file://${join(this.box.dir, `target-${side}`)}`;
	}

	env(side: Side): NodeJS.ProcessEnv {
		const { dir, env } = this.box;
		const own = { XDG_CACHE_HOME: `cache-${side}`, TSDUP_PROFILES: `profiles-${side}` };
		return { ...env, ...mapValues(own, (name) => join(dir, name)) };
	}

	#at(side: Side): Sandbox {
		return { ...this.box, env: this.env(side) };
	}

	/** In the source. */
	shell(script: string): void {
		execFileSync('bash', ['-ec', script], { cwd: this.source });
	}

	/** Overwrites bytes of a file and puts its time back, to the nanosecond. */
	edit(name: string, bytes: string): void {
		this.shell(`touch -r '${name}' ../time; printf '${bytes}' | dd of='${name}' conv=notrunc status=none
			touch -r ../time '${name}'`);
	}

	/**
	 * A backup of both. @param leaveOut what is not selected; null: the snapshot is not compared with the source
	 * @returns what they have counted, which is the same
	 */
	async step(
		leaveOut: string[] | null = [],
		{ options = [], code = 0, run = tsdup }: { options?: string[]; code?: number; run?: Run } = {},
	): Promise<Summary> {
		const ours = await this.#backup('with', options, run);
		const other = await this.#backup('without', options, run);
		assert.equal(ours.code, code, ours.said);
		assert.deepEqual(ours, other);
		assert.deepEqual(this.#newest('with'), this.#newest('without'));
		this.said = ours.said;
		if (code === 0 && leaveOut) await this.isRight(leaveOut);
		return ours.summary;
	}

	/** The newest snapshot of the host with digests is the source as it is. */
	async isRight(leaveOut: string[] = []): Promise<void> {
		const to = join(this.box.dir, 'restored');
		const { code, stderr } = await tsdup(['restore', 'p', to], { env: this.env('with') });
		assert.equal(code, 0, stderr);
		assertSameTree(
			describeTree(Buffer.from(to)),
			describeTree(Buffer.from(`${this.source}/.`), { leaveOut }),
			'restored',
		);
		rmSync(to, { recursive: true });
	}

	/** A backup of the host with digests only. @returns what it said */
	async alone(...options: string[]): Promise<string> {
		const { code, stdout, stderr } = await tsdup(['backup', 'p', ...options], { env: this.env('with') });
		assert.equal(code, 0, stderr);
		return stdout + stderr;
	}

	async #backup(
		side: Side,
		options: string[],
		run: Run,
	): Promise<{ code: number; said: string; summary: Summary }> {
		if (side === 'without') this.forget(side);
		const { code, stdout, stderr } = await run(['--json', 'backup', 'p', ...options], this.#at(side));
		const { summary } = JSON.parse(stdout.trim().split('\n').at(-1) ?? '{}');
		assert.ok(summary, stderr);
		const { entries, newEntries, changedEntries, deletedEntries, bytesRead, warnings } = summary;
		return {
			...{ code, said: stderr.replaceAll(/\d{4}-\d\d-\d\dT[\d:.]+Z/g, 'TIME') },
			summary: { entries, newEntries, changedEntries, deletedEntries, bytesRead, warnings },
		};
	}

	/** Takes all digests out of an index. */
	forget(side: Side): void {
		this.sql(side, 'DELETE FROM folders');
	}

	/** Runs a statement on an index, if there is one. @returns rows */
	sql(side: Side, statement: string): unknown[] {
		return this.#index(side, ({ db }) => run(db, statement)) ?? [];
	}

	/** Every file of the index has another stamp: whoever compares one has to read it. */
	spoilStamps(side: Side): void {
		this.sql(side, "UPDATE versions SET stamp = stamp + 1 WHERE type = 'file'");
	}

	/** Digests of the newest set and others, as `path: files`. */
	digests(): { newest: string[]; others: number } {
		const newest = (this.#index('with', (index) => index.sets().at(-1)?.time) ?? 0) as number;
		const rows = this.sql('with', 'SELECT set_time AS time, path, files FROM folders ORDER BY path') as {
			time: number;
			path: Buffer;
			files: number;
		}[];
		const own = rows.filter(({ time }) => time === newest);
		const lines = own.map(({ path, files }) => `${path.toString('latin1')}: ${files}`);
		return { newest: lines, others: rows.length - own.length };
	}

	/** Everything that the index knows of the newest snapshot, but where it is stored and when. */
	#newest(side: Side): unknown {
		return this.#index(side, (index) => listed(index, index.sets().at(-1) as SnapshotSet, 1));
	}

	#index<T>(side: Side, use: (index: Index) => T): T | null {
		const above = join(this.env(side).XDG_CACHE_HOME as string, 'tsdup/collections');
		const [id] = execFileSync('sh', ['-c', `ls '${above}' 2>/dev/null || true`])
			.toString()
			.split('\n');
		if (!id || !readdirSync(join(above, id)).includes('index.sqlite')) return null;
		const index = new Index(join(above, id, 'index.sqlite'));
		try {
			return use(index);
		} finally {
			index.close();
		}
	}
}

type Run = (args: readonly string[], box: Sandbox) => Promise<Ended>;

function run(db: Database.Database, statement: string): unknown[] {
	const prepared = db.prepare(statement);
	if (prepared.reader) return prepared.all();
	prepared.run();
	return [];
}

function listed(index: Index, set: SnapshotSet, node: number): unknown {
	return index.list(set, node).map(({ node: child, ...entry }) => {
		return [entry, entry.type === 'dir' ? listed(index, set, child) : null];
	});
}

function mapValues(object: Record<string, string>, map: (value: string) => string): Record<string, string> {
	return Object.fromEntries(Object.entries(object).map(([key, value]) => [key, map(value)]));
}
