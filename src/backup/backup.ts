/**
 * One backup run: heal what an earlier run left, decide between full and incremental, store what changed, commit.
 */
import { closeSync, mkdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import type { SetName } from '../collection/names.js';
import { BlockCache } from '../content/blocks.js';
import { Content } from '../content/content.js';
import { DamageError, TsdupError, UsageError } from '../errors.js';
import type { SegmentKey } from '../index/import.js';
import { Index } from '../index/index.js';
import { checkPassphrase } from '../index/passphrase.js';
import { beginRun, endRun, segmentReady } from '../index/runs.js';
import { type Synced, type SyncOptions, sync } from '../index/sync.js';
import type { Encryptor } from '../openpgp/encryptor.js';
import type { Opener } from '../openpgp/opener.js';
import type { Selection } from '../profile/selection.js';
import { FolderTarget } from '../target/file.js';
import type { Target } from '../target/target.js';
import { type Basis, storeFile, storeMetadata } from './file.js';
import { heal, publish } from './heal.js';
import { takeLock } from './lock.js';
import { SetWriter } from './set-writer.js';
import { openRegular, sourcePath } from './source.js';
import { type Before, type Change, walk } from './walk.js';

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

export interface Reporter {
	/** Something to know, nothing to do. */
	note(message: string): void;
	/** Something that is not backed up as it should be. */
	warn(message: string): void;
	progress(state: { path: Buffer; entries: number; bytesRead: number; bytesStored: number }): void;
}

export interface BackupReport {
	set: SetName;
	/** Entries in the source. */
	entries: number;
	newEntries: number;
	changedEntries: number;
	deletedEntries: number;
	/** Bytes. */
	bytesRead: number;
	bytesStored: number;
	volumes: number;
	warnings: number;
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
	readonly #report = {
		entries: 0,
		newEntries: 0,
		changedEntries: 0,
		deletedEntries: 0,
		bytesRead: 0,
		bytesStored: 0,
		volumes: 0,
		warnings: 0,
	};

	constructor(options: BackupOptions, index: Index) {
		this.#options = options;
		this.#index = index;
		this.#pending = new FolderTarget(join(options.cacheDir, 'pending'));
		const { target, opener, publicKeys } = options;
		this.#context = { index, target, opener, pending: this.#pending, withoutKeys: publicKeys };
		// Signatures are read once each: the block cache would only push out what a mount wants again.
		const blocks = new BlockCache(join(options.cacheDir, 'frames'), 0);
		this.#content = new Content(target, blocks, (id) => index.volume(id));
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
		return { set, ...this.#report };
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
		let key: SegmentKey | null = null;
		const writer = new SetWriter({ target, pending, encryptor, set, chain, source, volumeSize });
		try {
			for (const change of this.#walk(before)) {
				await this.#store(writer, change, before);
				this.#report.bytesStored = writer.difftar.storedBytes;
				reporter.progress({ path: change.path, ...this.#report });
			}
			key = await writer.complete();
			segmentReady(this.#index, set, key);
		} catch (error) {
			await writer.abort();
			await this.#discard(writer, set);
			throw error;
		}
		this.#report.bytesStored = writer.difftar.storedBytes;
		this.#report.volumes = writer.difftar.stored.length;
		await writer.commit();
		// The set exists. What fails from here on is made good by the next run.
		await publish(this.#context, set, key);
	}

	/** Takes back the volumes of a run that failed before its commit. Where that fails too, the next run does it. */
	async #discard(writer: SetWriter, set: SetName): Promise<void> {
		const names = writer.difftar.stored.map(({ volume }) => volume.name);
		try {
			await this.#options.target.delete(names);
			endRun(this.#index, set);
		} catch {
			this.#options.reporter.note('Volumes of this run are left on the target; the next run removes them.');
		}
	}

	#walk(before: Before | null): Generator<Change> {
		const { source: root, selection } = this.#options;
		const { dev: device } = statSync(sourcePath(root, Buffer.alloc(0)), { bigint: true });
		return walk(
			{
				root,
				device,
				selection,
				unreadable: (path, error) => this.#warn(path, 'cannot be read', error),
				skipped: (path) => this.#options.reporter.note(`${shown(path)}: sockets are not backed up.`),
			},
			before,
		);
	}

	async #store(writer: SetWriter, change: Change, before: Before | null): Promise<void> {
		const { path, previous } = change;
		if (change.kind === 'deleted') {
			await writer.addDeleted(path);
			if (previous?.type === 'file') writer.touched('deleted', path);
			this.#report.deletedEntries++;
			return;
		}
		this.#report.entries++;
		if (change.kind === 'same') return;
		if (change.metadata.type === 'file') {
			if (!(await this.#storeFile(writer, change, before))) return;
			writer.touched(previous?.type === 'file' ? 'changed' : 'new', path);
		} else {
			await writer.addPlain(path, change.metadata);
			if (previous?.type === 'file') writer.touched('deleted', path);
		}
		if (previous) this.#report.changedEntries++;
		else this.#report.newEntries++;
	}

	/** @returns whether the file was stored; if not, its state in the snapshot before stays */
	async #storeFile(
		writer: SetWriter,
		{ path, metadata: seen, previous }: Extract<Change, { kind: 'stored' }>,
		before: Before | null,
	): Promise<boolean> {
		const file = this.#open(path);
		if (!file) return false;
		try {
			const { fd, metadata } = file;
			const basis = before && previous?.type === 'file' ? await this.#basis(before, previous.node) : null;
			const same = basis && previous && sameContent(previous, metadata);
			const stored = same
				? await storeMetadata(writer.difftar, path, metadata, basis)
				: await storeFile(writer.difftar, path, fd, metadata, basis);
			await writer.add(path, stored.metadata, stored.extents, stored.signature);
			if (!same) this.#report.bytesRead += stored.metadata.size;
			if (stored.incomplete) {
				this.#warn(path, `could only be read up to byte ${stored.metadata.size}`, stored.incomplete);
			} else if (stored.metadata.size !== seen.size) {
				this.#options.reporter.note(
					`${shown(path)} changed while it was read; the next run stores it again.`,
				);
			}
			return true;
		} catch (error) {
			if (error instanceof TsdupError || !(error as NodeJS.ErrnoException).syscall) throw error;
			this.#warn(path, 'cannot be read', error);
			return false;
		} finally {
			closeSync(file.fd);
		}
	}

	#open(path: Buffer): ReturnType<typeof openRegular> {
		try {
			const file = openRegular(sourcePath(this.#options.source, path));
			if (!file) this.#options.reporter.note(`${shown(path)} was replaced while it was read.`);
			return file;
		} catch (error) {
			const { code } = error as NodeJS.ErrnoException;
			if (code === 'ENOENT' || code === 'ELOOP') {
				this.#options.reporter.note(`${shown(path)} vanished, or was replaced, while it was read.`);
			} else {
				this.#warn(path, 'cannot be read', error);
			}
			return null;
		}
	}

	/** What a delta is made against; null when the signature cannot be had: the file is then stored whole. */
	async #basis({ index, set }: Before, node: number): Promise<Basis | null> {
		const reference = index.signature(set, node);
		if (!reference) return null;
		try {
			const signature = await this.#content.read([reference]);
			return { signature, extents: index.extents(set, node) };
		} catch (error) {
			if (!(error instanceof DamageError)) throw error;
			this.#options.reporter.note(`A signature is damaged (${error.message}); the file is stored whole.`);
			return null;
		}
	}

	#dryRun(set: SetName, before: Before | null): BackupReport {
		for (const change of this.#walk(before)) {
			if (change.kind === 'deleted') this.#report.deletedEntries++;
			else this.#report.entries++;
			if (change.kind !== 'stored') continue;
			if (change.previous) this.#report.changedEntries++;
			else this.#report.newEntries++;
			this.#report.bytesRead += change.metadata.size;
		}
		return { set, ...this.#report };
	}

	#warn(path: Buffer, what: string, error: unknown): void {
		this.#report.warnings++;
		this.#options.reporter.warn(`${shown(path)} ${what}: ${reason(error)}`);
	}
}

function sameContent(
	before: { size: number; mtime: number; mtimeNs: number | null },
	now: { size: number; mtime: number; mtimeNs: number | null },
): boolean {
	return (
		before.size === now.size &&
		before.mtime === now.mtime &&
		(before.mtimeNs === null || before.mtimeNs === now.mtimeNs)
	);
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

/** For messages; bytes that are not UTF-8 are shown as replacement characters. */
function shown(path: Buffer): string {
	return path.length === 0 ? 'The source' : path.toString();
}

function reason(error: unknown): string {
	const { code } = error as NodeJS.ErrnoException;
	if (code === 'EACCES' || code === 'EPERM') return 'permission denied';
	if (code === 'ENOENT') return 'it is not there';
	if (code === 'ENOTDIR') return 'it is not a folder';
	return code ?? (error instanceof Error ? error.message : String(error));
}

function trimSlashes(path: Buffer): Buffer {
	let end = path.length;
	while (end > 0 && path[end - 1] === 47) end--;
	return path.subarray(0, end);
}
