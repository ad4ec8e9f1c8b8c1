/**
 * One backup run: heal what an earlier run left, decide between full and incremental, store what changed, commit.
 */
import { mkdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import type { SetName } from '../collection/names.js';
import type { Content } from '../content/content.js';
import { openContent } from '../content/open.js';
import { TsdupError, UsageError } from '../errors.js';
import { Index } from '../index/index.js';
import { takeLock } from '../index/lock.js';
import { checkPassphrase } from '../index/passphrase.js';
import { beginRun, endRun, segmentReady } from '../index/runs.js';
import type { ObjectKey } from '../index/set-import.js';
import { type Synced, type SyncOptions, sync } from '../index/sync.js';
import type { Encryptor } from '../openpgp/encryptor.js';
import type { Opener } from '../openpgp/opener.js';
import type { Selection } from '../profile/selection.js';
import { sourcePath } from '../source/source.js';
import { type Before, type Change, walk } from '../source/walk.js';
import { reason, shown } from '../source/words.js';
import { FolderTarget } from '../target/file.js';
import type { Target } from '../target/target.js';
import { heal, publish } from './heal.js';
import { readAhead } from './read-ahead.js';
import { type BackupReport, newCounts, type Reporter } from './report.js';
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

class Backup {
	readonly #options: BackupOptions;
	readonly #index: Index;
	readonly #pending: Target;
	readonly #context: SyncOptions;
	readonly #content: Content;
	readonly #counts = newCounts();

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
		if (!dryRun && (await heal(this.#context, synced.collection, reporter)))
			synced = await sync(this.#context);
		for (const { set, reason } of synced.unusable) {
			reporter.note(`The set of ${new Date(set.time * 1000).toISOString()} cannot be built on: ${reason}.`);
		}
		const before = this.#before(synced);
		const set = this.#name(synced, before);
		if (dryRun) return this.#dryRun(set, before);
		beginRun(this.#index, set);
		await this.#write(set, before);
		return { set, ...this.#counts };
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
	#name({ collection }: Synced, before: Before | null): SetName {
		const all = [
			...collection.chains.flatMap((c) => c.sets),
			...collection.incomplete,
			...collection.orphaned,
		];
		const last = all.reduce((max, set) => Math.max(max, set.time), 0);
		const time = Math.max(Math.floor(this.#options.now), last + 1);
		return before ? { kind: 'inc', start: before.set.time, time } : { kind: 'full', start: null, time };
	}

	async #write(set: SetName, before: Before | null): Promise<void> {
		const { source, target, encryptor, volumeSize, reporter } = this.#options;
		const pending = this.#pending;
		const chain = before?.set.chain ?? set.time;
		let key: ObjectKey | null = null;
		const writer = new SetWriter({ target, pending, encryptor, set, chain, source, volumeSize });
		const store = new Store({
			source,
			writer,
			before,
			content: this.#content,
			reporter,
			counts: this.#counts,
		});
		try {
			for await (const group of readAhead(this.#walk(before), source)) {
				for (const { change, read } of group) {
					await store.store(change, read);
					this.#counts.bytesStored = writer.difftar.storedBytes;
					reporter.progress({ path: change.path, ...this.#counts });
				}
			}
			key = await writer.complete();
			segmentReady(this.#index, set, key);
		} catch (error) {
			await writer.abort();
			await this.#discard(writer, set);
			throw error;
		}
		this.#counts.bytesStored = writer.difftar.storedBytes;
		this.#counts.volumes = writer.difftar.stored.length;
		await writer.commit();
		// The set exists. What fails from here on is made good by the next run.
		await publish(this.#context, set, key);
	}

	/** Takes back the volumes of a run that failed before its commit. Where that fails too, the next run does it. */
	async #discard(writer: SetWriter, set: SetName): Promise<void> {
		try {
			await this.#options.target.delete(writer.names());
			endRun(this.#index, set);
		} catch {
			this.#options.reporter.note('Volumes of this run are left on the target; the next run removes them.');
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
		for (const change of this.#walk(before)) {
			if (change.kind === 'deleted') this.#counts.deletedEntries++;
			else this.#counts.entries++;
			if (change.kind !== 'stored') continue;
			if (change.previous) this.#counts.changedEntries++;
			else this.#counts.newEntries++;
			this.#counts.bytesRead += change.metadata.size;
		}
		return { set, ...this.#counts };
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
