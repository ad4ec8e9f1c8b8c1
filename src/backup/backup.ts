/**
 * One backup run: heal what an earlier run left, decide between full and incremental, store what changed, commit.
 */
import { randomBytes } from 'node:crypto';
import { mkdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import type { Collection } from '../collection/backup-set.js';
import type { SetName } from '../collection/names.js';
import type { Content } from '../content/content.js';
import { openContent } from '../content/open.js';
import { TsdupError } from '../errors.js';
import { Index } from '../index/index.js';
import { takeLock } from '../index/lock.js';
import { checkPassphrase } from '../index/passphrase.js';
import { beginRun, type Run, resumeRun } from '../index/runs.js';
import { type SyncOptions, sync } from '../index/sync.js';
import type { Before } from '../source/former.js';
import { sourcePath } from '../source/source.js';
import { reason } from '../source/words.js';
import { FolderTarget } from '../target/file.js';
import { allSets, baseOf, nameOf, setAt } from './base.js';
import { CannotResume, Checkpoints } from './checkpoints.js';
import { wouldStore } from './dry-run.js';
import { heal, journalName } from './heal.js';
import { Journal } from './journal.js';
import type { BackupOptions } from './options.js';
import { type BackupReport, newCounts } from './report.js';
import { findResumption, type Resumption } from './resumption.js';
import { writeSet } from './write-set.js';

/** @throws TsdupError; whatever it throws, the collection is as it was, or the next run heals it */
export async function backup(options: BackupOptions): Promise<BackupReport> {
	const source = trimSlashes(options.source);
	requireDirectory(source);
	mkdirSync(join(options.cacheDir, 'pending'), { recursive: true, mode: 0o700 });
	const release = takeLock(join(options.cacheDir, 'lock.sqlite'));
	try {
		const index = new Index(join(options.cacheDir, 'index.sqlite'));
		try {
			return await new Backup({ ...options, source }, index).run();
		} finally {
			index.close();
		}
	} finally {
		release();
	}
}

class Backup {
	readonly #options: BackupOptions;
	readonly #index: Index;
	readonly #context: SyncOptions;
	readonly #content: Content;

	constructor(options: BackupOptions, index: Index) {
		this.#options = options;
		this.#index = index;
		const { target, opener, publicKeys, encryptor } = options;
		this.#context = {
			index,
			target,
			opener,
			pending: new FolderTarget(join(options.cacheDir, 'pending')),
			withoutKeys: publicKeys,
			listener: options.reporter,
			encrypted: encryptor !== null,
		};
		// Signatures are read once each: on disk they would only push out what a mount wants again.
		this.#content = openContent(index, options, null).content;
	}

	async run(): Promise<BackupReport> {
		const { encryptor, publicKeys, opener, dryRun, reporter } = this.#options;
		let synced = await sync(this.#context);
		if (encryptor && !publicKeys) {
			const header = await checkPassphrase(this.#index, opener);
			const wrapping = header && (await opener.wrapping(header));
			if (wrapping) encryptor.goOnWith?.(wrapping);
		}
		let resumption: Resumption | null = null;
		if (!dryRun) {
			const { collection } = synced;
			const healed = await heal(this.#context, collection, reporter, (run) => this.#resume(run, collection));
			resumption = healed.resumption;
			if (healed.changed && !resumption) synced = await sync(this.#context);
		}
		for (const { set, reason } of synced.unusable) {
			reporter.note(`The set of ${new Date(set.time * 1000).toISOString()} cannot be built on: ${reason}.`);
		}
		if (resumption) {
			const report = await this.#goOn(resumption, synced.collection);
			if (report) return report;
			synced = await sync(this.#context);
		}
		const before = baseOf(this.#index, synced.collection, this.#options);
		const set = nameOf(synced.collection, before, this.#options.now);
		if (dryRun) return wouldStore(this.#options, set, before);
		return this.#begin(set, before);
	}

	async #begin(set: SetName, before: Before | null): Promise<BackupReport> {
		const { encryptor } = this.#options;
		const message = await encryptor?.newMessage();
		const key = message
			? { header: message.header, key: message.sessionKey }
			: { header: Buffer.alloc(0), key: randomBytes(32) };
		beginRun(this.#index, set, key);
		const checkpoints = new Checkpoints(this.#journal(set, key.key, 0));
		checkpoints.begin(this.#options.plan);
		return this.#write(set, before, checkpoints, null);
	}

	/** @returns null when it turned out that nothing of the run can be used; it is as if it had never been then */
	async #goOn(resumption: Resumption, collection: Collection): Promise<BackupReport | null> {
		const { now, reporter } = this.#options;
		const { set } = resumption.run;
		resumeRun(this.#index, set);
		const checkpoints = new Checkpoints(this.#journal(set, resumption.key, resumption.journalEnd));
		await checkpoints.keep(resumption.kept);
		try {
			const report = await this.#write(set, setAt(this.#index, set.start), checkpoints, resumption);
			if (!resumption.changed) return report;
			reporter.note(
				`The backup of ${new Date(set.time * 1000).toISOString()} is complete. What it had stored before it was interrupted has changed since: an incremental one follows.`,
			);
			const before = setAt(this.#index, set.time);
			// Not taken in: the next run sees it all.
			if (!before) return report;
			return await this.#begin(nameOf(collection, before, now), before);
		} catch (error) {
			if (!(error instanceof CannotResume)) throw error;
			reporter.note('The interrupted run cannot be gone on with: its objects were removed.');
			return null;
		}
	}

	/** What can be kept of an interrupted run, if it is what this run would make, or a full backup that is not to be lost. */
	async #resume(run: Run, collection: Collection): Promise<Resumption | null> {
		const { mode, source, plan, opener, publicKeys, cacheDir } = this.#options;
		const others = allSets(collection).filter(({ time }) => time !== run.set.time);
		if (others.some(({ time }) => time >= run.set.time)) return null;
		if (run.set.kind === 'full' && mode === 'incremental') return null;
		if (run.set.kind === 'inc') {
			const builds = collection.newest?.end === run.set.start && setAt(this.#index, run.set.start) !== null;
			if (mode === 'full' || !builds) return null;
		}
		const path = join(cacheDir, 'pending', journalName(run.set));
		return findResumption({ run, path, collection, source, plan, opener, publicKeys });
	}

	#journal(set: SetName, key: Buffer, end: number): Journal {
		const path = join(this.#options.cacheDir, 'pending', journalName(set));
		return new Journal(path, key, end, (error) => {
			this.#options.reporter.note(
				`${path} cannot be written (${reason(error)}): if this run is interrupted, the next one begins anew.`,
			);
		});
	}

	#write(
		set: SetName,
		before: Before | null,
		checkpoints: Checkpoints,
		resumption: Resumption | null,
	): Promise<BackupReport> {
		const work = {
			options: this.#options,
			context: this.#context,
			content: this.#content,
			counts: newCounts(),
		};
		return writeSet({ ...work, set, before, checkpoints, resumption });
	}
}

function requireDirectory(source: Buffer): void {
	const path = sourcePath(source, Buffer.alloc(0));
	try {
		if (statSync(path).isDirectory()) return;
	} catch (error) {
		throw new TsdupError(`The source ${source} cannot be read: ${reason(error)}. Nothing was backed up.`, {
			cause: error,
		});
	}
}

function trimSlashes(path: Buffer): Buffer {
	let end = path.length;
	while (end > 0 && path[end - 1] === 47) end--;
	return path.subarray(0, end);
}
