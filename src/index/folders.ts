/**
 * Digests of the source's folders: of each, when a set was made, a few bytes for each name and what lstat told of it (see
 * source/directory.ts). Files of which they are the same again are as that set shows them, so neither they nor their rows
 * are looked at. A digest counts only in the increment on its own set. It is but a cache: whatever is not there costs time only.
 */
import type { SnapshotSet } from './entry.js';
import type { Index } from './index.js';
import { isBusy, isFull } from './sqlite.js';

export interface FolderDigest {
	/** See FolderListing. */
	readonly digest: Buffer;
	/** Entries of the set that lie directly in the folder and are no folders. */
	readonly files: number;
}

/** Those of one set. */
export class FolderDigests {
	/** What each begins with: all that the walk goes by besides the folder. */
	readonly seed: Buffer;
	readonly #index: Index | null;
	readonly #time: number;

	/** @param base null: nothing to compare with, as in a full backup */
	constructor(seed: Buffer, base: { index: Index; set: SnapshotSet } | null) {
		this.seed = seed;
		this.#index = base?.index ?? null;
		this.#time = base?.set.time ?? 0;
	}

	/** @param path relative to the source. @returns null: the set has none for it */
	find(path: Buffer): FolderDigest | null {
		if (!this.#index) return null;
		const row = this.#index.db
			.prepare('SELECT digest, files FROM folders WHERE set_time = ? AND path = ?')
			.get(this.#time, path);
		return (row as FolderDigest | undefined) ?? null;
	}
}

/** Bytes of digests, and folders, that are written at a time. */
const BATCH_LENGTH = 4 << 20;
const BATCH = 8192;

/** Takes down the digests of a set that is being made. */
export class FolderRecorder {
	readonly #index: Index;
	readonly #time: number;
	/** Folders that are not through yet, one character per byte, in which something was not stored as it was seen. */
	readonly #spoilt = new Set<string>();
	#waiting: (FolderDigest & { path: Buffer })[] = [];
	#length = 0;
	#usable = true;

	/** @param base time of the set that the new one builds on; null: none */
	constructor(index: Index, time: number, base: number | null) {
		this.#index = index;
		this.#time = time;
		this.#write(() => index.db.prepare('DELETE FROM folders WHERE set_time IS NOT ?').run(base));
	}

	/** An entry was not stored as it was seen: the next run has to look at it again, and to say again what is wrong with it. */
	spoil(path: Buffer): void {
		if (path.length > 0)
			this.#spoilt.add(path.subarray(0, Math.max(path.lastIndexOf('/'), 0)).toString('latin1'));
	}

	/** The set has all of a folder's files. @param digest null: there is none that could stand for them */
	add(path: Buffer, digest: Buffer | null, files: number): void {
		const isSpoilt = this.#spoilt.size > 0 && this.#spoilt.delete(path.toString('latin1'));
		if (isSpoilt || !digest || !this.#usable) return;
		this.#length += digest.length;
		if (this.#waiting.push({ path, digest, files }) === BATCH || this.#length > BATCH_LENGTH) this.flush();
	}

	flush(): void {
		const waiting = this.#waiting;
		this.#waiting = [];
		this.#length = 0;
		if (!this.#usable || waiting.length === 0) return;
		const { db } = this.#index;
		const insert = db.prepare('INSERT OR REPLACE INTO folders VALUES (?, ?, ?, ?)');
		this.#write(
			db.transaction(() => {
				for (const { path, digest, files } of waiting) insert.run(this.#time, path, digest, files);
			}).immediate,
		);
	}

	/** No backup fails for want of them. */
	#write(act: () => void): void {
		try {
			act();
		} catch (error) {
			if (!isFull(error) && !isBusy(error)) throw error;
			this.#usable = false;
		}
	}
}

/** Whatever set is of this time now, its folders are not known. */
export function forgetFolders({ db }: Index, time: number): void {
	db.prepare('DELETE FROM folders WHERE set_time = ?').run(time);
}
