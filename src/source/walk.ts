/**
 * What differs between the source and the snapshot before: a walk of both side by side, in tuple order of paths (the
 * order of duplicity's format). Memory holds the directories on the way down only. Files that a directory's digest tells to be as
 * they were are passed over, and of the snapshot before only what is looked for is read.
 */
import type { FormerEntry } from '../index/entry.js';
import type { FolderDigest, FolderDigests } from '../index/folders.js';
import { once } from '../once.js';
import { type Change, changeOf, type FolderEnd } from './change.js';
import { type Before, FormerTree } from './former.js';
import { isSelected, type Selecting } from './selected.js';
import {
	childPath,
	type Listed,
	type Listing,
	listDirectory,
	readMetadata,
	type SourceMetadata,
	sourcePath,
} from './source.js';

export interface WalkSource extends Selecting {
	/** Told of what a backup has no place for. */
	skipped(path: Buffer): void;
}

/**
 * @param before null for a full backup
 * @param folders null: everything is looked at, and no digests are made
 * @throws the system's error when the root itself cannot be read
 */
export function walk(source: WalkSource, before: Before | null): Generator<Change>;
export function walk(
	source: WalkSource,
	before: Before | null,
	folders: FolderDigests | null,
): Generator<Change | FolderEnd>;
export function walk(
	source: WalkSource,
	before: Before | null,
	folders: FolderDigests | null = null,
): Generator<Change | FolderEnd> {
	return new Walk(source, before, folders).run();
}

type Told = Generator<Change | FolderEnd, void>;

/** `former`: what is known of the directory from the snapshot before; null: nothing, or lstat refused to tell what it is now. */
type Looked = Listing & { readonly former: FolderDigest | null };

class Walk {
	readonly #source: WalkSource;
	readonly #former: FormerTree;
	readonly #folders: FolderDigests | null;

	constructor(source: WalkSource, before: Before | null, folders: FolderDigests | null) {
		this.#source = source;
		this.#former = new FormerTree(before);
		this.#folders = folders;
	}

	*run(): Told {
		const path = Buffer.alloc(0);
		const metadata = readMetadata(this.#absolute(path));
		if (!metadata) return;
		yield* this.#present(path, metadata, this.#former.root());
	}

	/** @param looked at a directory already; null: it could not be read. */
	*#present(
		path: Buffer,
		metadata: SourceMetadata,
		previous: FormerEntry | null,
		looked?: Looked | null,
	): Told {
		yield changeOf(path, metadata, previous);
		const former = previous?.type === 'dir' ? previous : null;
		if (metadata.type !== 'dir') {
			yield* this.#former.goneIn(path, former);
			return;
		}
		const listing = looked === undefined ? this.#look(path, former !== null) : looked;
		if (listing?.former) yield* this.#passedOver(path, listing, listing.former, () => former, 0);
		else if (listing) yield* this.#compared(path, listing, former, 0);
	}

	/** @param isOld whether the snapshot before may have it as a directory. @returns null when it cannot be read, which is told */
	#look(path: Buffer, isOld: boolean): Looked | null {
		const folders = this.#folders;
		const known = isOld ? (folders?.find(path) ?? null) : null;
		const digest = folders && { seed: folders.seed, expected: known?.digest ?? null };
		try {
			const listing = listDirectory(this.#absolute(path), digest);
			return { ...listing, former: listing.digest ? known : null };
		} catch (error) {
			this.#source.unreadable(path, error);
			return null;
		}
	}

	/**
	 * A directory most of whose files are as before.
	 * @param known of it
	 * @param former the directory in the snapshot before
	 * @param itself 1 when nothing was told of the directory itself; else 0
	 */
	*#passedOver(
		parent: Buffer,
		{ entries, digest, lost }: Listing,
		known: FolderDigest,
		former: () => FormerEntry | null,
		itself: number,
	): Told {
		const told = [...entries].map((entry) => ({
			...entry,
			path: childPath(parent, entry.name),
			previous: once(() => this.#former.lookup(former(), entry.name)),
		}));
		const others = told.filter((entry) => !entry.known);
		// Each of these was in the directory. If they are all that is not as it was, nothing has gone.
		const changed = others.filter(({ previous }) => lost > 0 && previous() !== null);
		if (changed.length !== lost) {
			const again = this.#look(parent, false);
			if (again) yield* this.#compared(parent, again, former(), itself);
			return;
		}
		const untold = known.files - changed.filter(({ previous }) => previous()?.type !== 'dir').length;
		let files: number | null = untold;
		for (const entry of told) {
			if (entry.known) {
				yield* this.#directory(entry.path, entry.metadata() as SourceMetadata, entry.previous);
			} else {
				const counted: number | null = yield* this.#child(entry.path, entry, entry.previous());
				files = files === null || counted === null ? null : files + counted;
			}
		}
		yield folderEnd(parent, digest, files, untold + itself);
	}

	/** A directory of which lstat tells what it told before. What is in it, and whether it is selected, may be another matter. */
	*#directory(path: Buffer, metadata: SourceMetadata, previous: () => FormerEntry | null): Told {
		if (isSelected(this.#source, path, metadata)) {
			const looked = this.#look(path, true);
			if (looked?.former) yield* this.#passedOver(path, looked, looked.former, previous, 1);
			else yield* this.#present(path, metadata, previous(), looked);
		} else {
			// What is deep inside may decide on a directory that lstat shows as it was.
			const entry = previous();
			if (entry) yield* this.#former.gone(path, entry);
		}
	}

	/** A directory's children, now and before, merged by name. @param itself as for `#passedOver` */
	*#compared(
		parent: Buffer,
		{ entries, digest }: Listing,
		directory: FormerEntry | null,
		itself: number,
	): Told {
		const former = this.#former.list(directory);
		let files: number | null = 0;
		let then = former.next();
		for (const listed of entries) {
			const { name } = listed;
			for (; !then.done && Buffer.compare(then.value.name, name) < 0; then = former.next()) {
				yield* this.#former.gone(childPath(parent, then.value.name), then.value);
			}
			const previous = !then.done && then.value.name.equals(name) ? then.value : null;
			if (previous) then = former.next();
			const counted: number | null = yield* this.#child(childPath(parent, name), listed, previous);
			files = files === null || counted === null ? null : files + counted;
		}
		for (; !then.done; then = former.next()) {
			yield* this.#former.gone(childPath(parent, then.value.name), then.value);
		}
		if (this.#folders) yield folderEnd(parent, digest, files, itself);
	}

	/** @returns how many files it is of those that a digest stands for; null: none can, because it has to be looked at in every run */
	*#child(
		path: Buffer,
		listed: Listed,
		previous: FormerEntry | null,
	): Generator<Change | FolderEnd, number | null> {
		let metadata: SourceMetadata | null;
		try {
			metadata = listed.metadata();
		} catch (error) {
			if ((error as NodeJS.ErrnoException).code === 'ENOENT') {
				if (previous) yield* this.#former.gone(path, previous);
			} else {
				this.#source.unreadable(path, error);
			}
			return null;
		}
		if (!metadata) this.#source.skipped(path);
		else if (isSelected(this.#source, path, metadata)) {
			yield* this.#present(path, metadata, previous);
			return metadata.type === 'dir' ? 0 : 1;
		}
		if (previous) yield* this.#former.gone(path, previous);
		return metadata ? 0 : null;
	}

	#absolute(path: Buffer): Buffer {
		return sourcePath(this.#source.root, path);
	}
}

/** @param files null: something in it has to be looked at in every run */
function folderEnd(path: Buffer, digest: Buffer | null, files: number | null, untold: number): FolderEnd {
	return { kind: 'folder', path, digest: files === null ? null : digest, files: files ?? 0, untold };
}
