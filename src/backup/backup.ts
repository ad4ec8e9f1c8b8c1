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
import { LockError, TargetError, TsdupError, UsageError } from '../errors.js';
import { Index } from '../index/index.js';
import { takeLock } from '../index/lock.js';
import { checkPassphrase } from '../index/passphrase.js';
import { beginRun, type Run, resumeRun, segmentReady } from '../index/runs.js';
import type { ObjectKey } from '../index/set-import.js';
import { isFull } from '../index/sqlite.js';
import { StampLearner } from '../index/stamps.js';
import { type Synced, type SyncOptions, sync } from '../index/sync.js';
import type { Encryptor } from '../openpgp/encryptor.js';
import type { Opener } from '../openpgp/opener.js';
import type { Selection } from '../profile/selection.js';
import { sourcePath } from '../source/source.js';
import { type Before, type Change, walk } from '../source/walk.js';
import { count, reason, shown } from '../source/words.js';
import { FolderTarget } from '../target/file.js';
import type { Target } from '../target/target.js';
import { CannotResume, Checkpoints } from './checkpoints.js';
import { forget, heal, journalName, publish } from './heal.js';
import { Journal } from './journal.js';
import { readAhead } from './read-ahead.js';
import { type BackupReport, newCounts, type Progress, type Reporter } from './report.js';
import { findResumption, type Resumption } from './resumption.js';
import { SetWriter } from './set-writer.js';
import { Store } from './store.js';

export interface BackupOptions {
	/** Absolute. */
	source: Buffer;
	selection: Pick<Selection, 'select'>;
	target: Target;
	/** null: unencrypted. */
	encryptor: Encryptor | null;
	/** Encryption to public keys: backups need no secret. */
	publicKeys: boolean;
	opener: Opener;
	/** The collection's own. */
	cacheDir: string;
	/** 'auto': incremental when there is something to build on. */
	mode: 'auto' | 'full' | 'incremental';
	/** A full is due when the last one is older than this time (s); null: never by age. */
	fullIfBefore: number | null;
	/** Bytes. */
	volumeSize: number;
	dryRun: boolean;
	/**
	 * What is backed up and for whom, in any words: an interrupted run of another plan is not gone on with, so that what was
	 * excluded since is not in it.
	 */
	plan: string;
	/** Seconds. */
	now: number;
	reporter: Reporter;
}

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

/** Milliseconds. */
const PROGRESS_INTERVAL = 100;

class Backup {
	readonly #options: BackupOptions;
	readonly #index: Index;
	readonly #pending: Target;
	readonly #context: SyncOptions;
	readonly #content: Content;
	#counts = newCounts();

	constructor(options: BackupOptions, index: Index) {
		this.#options = options;
		this.#index = index;
		this.#pending = new FolderTarget(join(options.cacheDir, 'pending'));
		const { target, opener, publicKeys, encryptor } = options;
		this.#context = {
			index,
			target,
			opener,
			pending: this.#pending,
			withoutKeys: publicKeys,
			note: options.reporter.note,
			encrypted: encryptor !== null,
		};
		// Signatures are read once each: on disk they would only push out what a mount wants again.
		this.#content = openContent(index, options, null).content;
	}

	async run(): Promise<BackupReport> {
		const { encryptor, publicKeys, opener, dryRun, reporter } = this.#options;
		let synced = await sync(this.#context);
		if (encryptor && !publicKeys) await checkPassphrase(this.#index, opener);
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
		const before = this.#before(synced);
		const set = this.#name(synced.collection, before);
		if (dryRun) return this.#dryRun(set, before);
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
		const { reporter } = this.#options;
		const { set } = resumption.run;
		resumeRun(this.#index, set);
		const checkpoints = new Checkpoints(this.#journal(set, resumption.key, resumption.journalEnd));
		await checkpoints.keep(resumption.kept);
		try {
			const report = await this.#write(set, this.#set(set.start), checkpoints, resumption);
			if (!resumption.changed) return report;
			reporter.note(
				`The backup of ${new Date(set.time * 1000).toISOString()} is complete. What it had stored before it was interrupted has changed since: an incremental one follows.`,
			);
			this.#counts = newCounts();
			const before = this.#set(set.time);
			return await this.#begin(this.#name(collection, before), before);
		} catch (error) {
			if (!(error instanceof CannotResume)) throw error;
			reporter.note('The interrupted run cannot be gone on with: its objects were removed.');
			this.#counts = newCounts();
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
			const builds = collection.newest?.end === run.set.start && this.#set(run.set.start) !== null;
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

	/** An indexed set of that time; null for none. */
	#set(time: number | null): Before | null {
		const set = this.#index.sets().find((candidate) => candidate.time === time);
		return set ? { index: this.#index, set } : null;
	}

	/** What an incremental builds on: the newest chain's last set, when it is indexed; null makes a full. */
	#before({ collection }: Synced): Before | null {
		const { mode, fullIfBefore } = this.#options;
		if (mode === 'full') return null;
		const newest = collection.newest;
		const set = this.#index.sets().find(({ time }) => time === newest?.end);
		if (newest && set) {
			const due = mode === 'auto' && fullIfBefore !== null && newest.start < fullIfBefore;
			return due ? null : { index: this.#index, set };
		}
		if (mode === 'incremental') {
			throw new UsageError('There is no backup that an incremental could build on: run a full one (--full).');
		}
		if (newest) this.#options.reporter.note('The newest backup cannot be built on: this one is a full.');
		return null;
	}

	/** Set times must increase, whatever the clock does. */
	#name(collection: Collection, before: Before | null): SetName {
		const known = [...allSets(collection), ...(before ? [before.set] : [])];
		const last = known.reduce((max, set) => Math.max(max, set.time), 0);
		const time = Math.max(Math.floor(this.#options.now), last + 1);
		return before ? { kind: 'inc', start: before.set.time, time } : { kind: 'full', start: null, time };
	}

	async #write(
		set: SetName,
		before: Before | null,
		checkpoints: Checkpoints,
		resumption: Resumption | null,
	): Promise<BackupReport> {
		const { source, target, encryptor, volumeSize, reporter } = this.#options;
		const pending = this.#pending;
		const chain = before?.set.chain ?? set.time;
		const kept = resumption?.kept ?? null;
		let key: ObjectKey | null = null;
		const counts = this.#counts;
		const writer = new SetWriter({
			...{ target, pending, encryptor, set, chain, source, volumeSize, checkpoints, kept },
		});
		const learner = before && new StampLearner(before.index, before.set);
		const store = new Store({
			source,
			writer,
			before,
			learner,
			content: this.#content,
			reporter,
			counts,
			pieces: kept?.pieces ?? [],
		});
		const expected = this.#expected();
		let path: Buffer = Buffer.alloc(0);
		// By the clock: one large file may take hours.
		const ticking = setInterval(() => {
			counts.bytesStored = writer.difftar.storedBytes;
			reporter.progress({ path, full: set.kind === 'full', ...counts, expected });
		}, PROGRESS_INTERVAL);
		try {
			const isKept = (change: Change) => resumption?.holds(change.path) ?? false;
			for await (const group of readAhead(this.#walk(before), source, isKept)) {
				for (const { change, read } of group) {
					path = change.path;
					if (!(await resumption?.covers(change, writer, counts))) await store.store(change, read);
				}
			}
			await resumption?.finish(writer, counts);
			learner?.flush();
			key = await writer.complete();
			segmentReady(this.#index, set, key);
		} catch (error) {
			await writer.abort();
			checkpoints.close();
			await this.#leave(writer, set, checkpoints.usable && error instanceof TargetError);
			throw error;
		} finally {
			clearInterval(ticking);
		}
		checkpoints.close();
		counts.bytesStored = writer.difftar.storedBytes;
		counts.volumes = writer.difftar.stored.length;
		await writer.commit().catch(async (error) => {
			// The set is that of another run, and none of this one's business.
			if (error instanceof LockError) await forget(this.#context, set);
			throw error;
		});
		// The set exists. What fails from here on is made good by the next run.
		try {
			await publish(this.#context, set, key);
		} catch (error) {
			if (!isFull(error)) throw error;
			reporter.warn(
				'The backup is complete, but the disk that the cache is on is full: the index takes it in once there is room.',
			);
		}
		return { set, ...counts };
	}

	/** What the source is likely to have: as much as the newest snapshot. */
	#expected(): Progress['expected'] {
		const newest = this.#index.sets().at(-1);
		if (!newest) return null;
		const { files, bytes } = this.#index.totals(newest);
		return { entries: files, bytes };
	}

	/**
	 * Before its commit a run failed. Where the target, or the way to it, was the reason, what is complete is kept for the
	 * next run; else it is taken back. Where that fails too, the next run does it.
	 */
	async #leave(writer: SetWriter, set: SetName, keep: boolean): Promise<void> {
		const { target, reporter } = this.#options;
		const { length } = writer.difftar.stored;
		if (keep && length > 0) {
			reporter.note(
				`What is complete, ${count(length, 'volume')}, stays on the target: the next run goes on after it.`,
			);
			return;
		}
		try {
			await target.delete(writer.names());
			await forget(this.#context, set);
		} catch {
			reporter.note('Volumes of this run are left on the target; the next run removes them.');
		}
	}

	#walk(before: Before | null): Generator<Change> {
		const { source: root, selection, reporter } = this.#options;
		const { dev: device } = statSync(sourcePath(root, Buffer.alloc(0)), { bigint: true });
		return walk(
			{
				root,
				device,
				selection,
				unreadable: (path, error) => {
					this.#counts.warnings++;
					reporter.warn(`${shown(path)} cannot be read: ${reason(error)}`);
				},
				skipped: (path) => reporter.note(`${shown(path)}: sockets are not backed up.`),
			},
			before,
		);
	}

	#dryRun(set: SetName, before: Before | null): BackupReport {
		let touched = 0;
		for (const change of this.#walk(before)) {
			if (change.kind !== 'deleted') this.#counts.entries++;
			if (change.kind === 'touched') touched++;
			if (change.kind === 'same' || change.kind === 'touched') continue;
			const effect = change.kind === 'deleted' ? 'deleted' : change.previous ? 'changed' : 'new';
			this.#counts[`${effect}Entries`]++;
			this.#options.reporter.would(effect, change.path);
			if (change.kind === 'stored') this.#counts.bytesRead += change.metadata.size;
		}
		if (touched > 0) {
			this.#options.reporter.note(
				`Of ${touched} entries time and size are the same, but not inode and ctime: a backup reads them, and stores them if they have changed.`,
			);
		}
		return { set, ...this.#counts };
	}
}

function allSets({ chains, incomplete, orphaned }: Collection): { time: number }[] {
	return [...chains.flatMap((chain) => chain.sets), ...incomplete, ...orphaned];
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
