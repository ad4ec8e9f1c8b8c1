/**
 * Writes an entry of a snapshot, with everything below it, into the file system. Contents are read several files ahead, in the
 * order that they have on the target. A file gets its name when it is complete; a directory its metadata when all below it is.
 * What cannot be restored is reported and the rest goes on.
 */
import { chmodSync, closeSync, lstatSync, mkdirSync, unlinkSync } from 'node:fs';
import { DamageError } from '../errors.js';
import type { Entry, SnapshotSet } from '../index/entry.js';
import type { Snapshots } from '../snapshots/snapshots.js';
import { isRestored, refuseToOverwrite } from './existing.js';
import { Links } from './links.js';
import { applyMetadata, makeSpecial } from './metadata.js';
import { create, partOf, removeOld, rename, writeFully } from './part.js';
import { emptyReport, noteFailure, noteLoss, type RestoreReport } from './report.js';
import { endSparsely, writeSparsely } from './sparse.js';

/** Bytes read at once: a few frames. */
const CHUNK = 4 * 2 ** 20;

/** What is read ahead, at most: bytes, to have some frames on the way at any time, and files. */
const BYTES_AHEAD = 16 * 2 ** 20;
const FILES_AHEAD = 256;

export interface RestoreOptions {
	/** Overwrite what is there. Folders are kept, with what else is in them. */
	readonly force?: boolean;
	readonly progress?: (report: RestoreReport, path: Buffer) => void;
}

/**
 * @param destination what the entry becomes
 * @throws UsageError without `force`, when something is there that is not of an earlier restore of the same
 */
export async function restore(
	snapshots: Snapshots,
	set: SnapshotSet,
	entry: Entry,
	destination: Buffer,
	options: RestoreOptions = {},
): Promise<RestoreReport> {
	if (!options.force) await refuseToOverwrite(snapshots, set, entry, destination);
	return new Restore(snapshots, set, options).run(entry, destination);
}

class Restore {
	readonly #snapshots: Snapshots;
	readonly #set: SnapshotSet;
	readonly #options: RestoreOptions;
	readonly #report = emptyReport();
	readonly #links: Links;
	readonly #inFlight = new Set<Promise<unknown>>();
	#bytesAhead = 0;
	readonly #user = { uid: process.getuid?.() ?? 0, gid: process.getgid?.() ?? 0 };

	constructor(snapshots: Snapshots, set: SnapshotSet, options: RestoreOptions) {
		this.#snapshots = snapshots;
		this.#set = set;
		this.#options = options;
		this.#links = new Links(snapshots, set, this.#report);
	}

	async run(entry: Entry, destination: Buffer): Promise<RestoreReport> {
		const folders: { entry: Entry; path: Buffer }[] = [];
		for (const { entry: next, path } of this.#walk(entry, destination)) {
			this.#options.progress?.(this.#report, path);
			if (next.type === 'dir') {
				// The walk lists it next, after it was made.
				if (this.#attempt(path, () => this.#makeFolder(path))) folders.push({ entry: next, path });
			} else await this.#start(next, path);
		}
		await Promise.all(this.#inFlight);
		for (const { entry, path } of folders.reverse()) this.#finish(path, entry);
		return this.#report;
	}

	/** In the order of the format, which is that of the contents on the target. */
	*#walk(entry: Entry, path: Buffer): Generator<{ entry: Entry; path: Buffer }> {
		yield { entry, path };
		if (entry.type !== 'dir') return;
		for (const child of this.#snapshots.list(this.#set, entry.node)) {
			yield* this.#walk(child, Buffer.concat([path, SLASH, child.name]));
		}
	}

	#makeFolder(path: Buffer): void {
		const stat = lstatSync(path, { throwIfNoEntry: false });
		if (stat?.isDirectory()) {
			// Its own mode, which may forbid to write into it, comes in the end.
			chmodSync(path, 0o700);
			return;
		}
		if (stat) unlinkSync(path);
		mkdirSync(path, { recursive: true, mode: 0o700 });
	}

	/** Returns when another one may be started. */
	async #start(entry: Entry, path: Buffer): Promise<void> {
		const ahead = entry.type === 'file' ? Math.min(entry.size ?? CHUNK, CHUNK) : 0;
		while (
			this.#inFlight.size >= FILES_AHEAD ||
			(this.#bytesAhead > 0 && this.#bytesAhead + ahead > BYTES_AHEAD)
		) {
			await Promise.race(this.#inFlight);
		}
		this.#bytesAhead += ahead;
		const make = () => (entry.type === 'file' ? this.#file(entry, path) : this.#special(entry, path));
		const made: Promise<unknown> = this.#links
			.place(entry, path, make)
			.catch((error) => noteFailure(this.#report, path, error))
			.finally(() => {
				this.#bytesAhead -= ahead;
				this.#inFlight.delete(made);
			});
		this.#inFlight.add(made);
	}

	/** @returns whether it is there now; so do the others */
	async #file(entry: Entry, path: Buffer): Promise<boolean> {
		if (await this.#isThere(entry, path)) {
			this.#report.skipped++;
			return this.#finish(path, entry);
		}
		const reader = await this.#snapshots.open(this.#set, entry);
		const first = await reader.read(0, CHUNK);
		const part = partOf(path, entry);
		const fd = create(part);
		try {
			for (let offset = 0, bytes = first; ; bytes = await reader.read(offset, CHUNK)) {
				if (entry.allocated === null) writeFully(fd, bytes);
				else writeSparsely(fd, bytes, offset);
				offset += bytes.length;
				this.#report.bytes += bytes.length;
				if (offset === reader.size) break;
				if (bytes.length === 0) throw new DamageError('The backup holds less of this file than it should.');
			}
			if (entry.allocated !== null) endSparsely(fd, reader.size);
		} catch (error) {
			unlinkSync(part);
			throw error;
		} finally {
			closeSync(fd);
		}
		return this.#finish(part, entry, path);
	}

	async #special(entry: Entry, path: Buffer): Promise<boolean> {
		const isDevice = entry.type === 'chardev' || entry.type === 'blockdev';
		if (isDevice && this.#user.uid !== 0) {
			this.#report.devicesLost++;
			return false;
		}
		if (await this.#isThere(entry, path)) {
			this.#report.skipped++;
			return this.#finish(path, entry);
		}
		const part = partOf(path, entry);
		removeOld(part);
		makeSpecial(part, entry);
		return this.#finish(part, entry, path);
	}

	/** What an earlier restore finished. With `force` nothing is trusted to be it. */
	async #isThere(entry: Entry, path: Buffer): Promise<boolean> {
		if (this.#options.force) return false;
		const stat = lstatSync(path, { throwIfNoEntry: false });
		return stat !== undefined && (await isRestored(this.#snapshots, this.#set, entry, path, stat));
	}

	/** Gives it its metadata, and then its name. */
	#finish(path: Buffer, entry: Entry, name = path): boolean {
		for (const reason of applyMetadata(path, entry)) noteLoss(this.#report, name, reason);
		const { uid, gid } = this.#user;
		if (uid !== 0 && (entry.uid !== uid || entry.gid !== gid)) this.#report.ownersLost++;
		if (name !== path && !this.#attempt(name, () => rename(path, name))) return false;
		this.#report.entries++;
		return true;
	}

	#attempt(path: Buffer, act: () => void): boolean {
		try {
			act();
			return true;
		} catch (error) {
			noteFailure(this.#report, path, error);
			return false;
		}
	}
}

const SLASH = Buffer.from('/');
