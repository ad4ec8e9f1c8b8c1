/**
 * The read-only tree of one collection: which snapshots there are, what is in them, and what is in a file.
 * Restore, listing and the mount are thin adapters of this; nothing of FUSE or of a terminal is in here.
 */
import { LRUCache } from 'lru-cache';
import type { Content } from '../content/content.js';
import type { Resolver } from '../content/resolver.js';
import { MissingObjectError } from '../errors.js';
import type { Entry, ListedEntry, SnapshotSet, StatEntry } from '../index/entry.js';
import { type Extent, ExtentMap } from '../index/extents.js';
import type { Index } from '../index/index.js';

export interface Totals {
	readonly files: number;
	readonly bytes: number;
}

export interface Names {
	readonly names: number;
	readonly first: number;
}

export interface WholeFile {
	readonly node: number;
	readonly bytes: Buffer;
}

export class Snapshots {
	readonly #index: Index;
	readonly #content: Content;
	readonly #resolver: Resolver;
	#sets: readonly SnapshotSet[] = [];
	#byId: ReadonlyMap<number, SnapshotSet> = new Map();
	#version: number | undefined;
	readonly #totals = new Map<number, Totals>();
	readonly #names = new LRUCache<string, Names>({ max: 10_000 });

	/** Shows the sets that the index knows at this moment, until `reload`. */
	constructor(index: Index, content: Content, resolver: Resolver) {
		this.#index = index;
		this.#content = content;
		this.#resolver = resolver;
		this.reload();
	}

	/** Shows the sets that the index knows by now. Quick when nobody has written to it. @returns whether there are others than before */
	reload(): boolean {
		const version = this.#index.version();
		if (version === this.#version) return false;
		this.#version = version;
		const sets = this.#index.sets();
		const ids = (list: readonly SnapshotSet[]) => list.map(({ id }) => id).join();
		if (ids(sets) === ids(this.#sets)) return false;
		this.#sets = sets;
		this.#byId = new Map(sets.map((set) => [set.id, set]));
		this.#content.forget();
		return true;
	}

	/** Oldest first. */
	sets(): readonly SnapshotSet[] {
		return this.#sets;
	}

	set(id: number): SnapshotSet | undefined {
		return this.#byId.get(id);
	}

	/** The newest set that is not after `time` (s); undefined when the first one is after it. */
	at(time: number): SnapshotSet | undefined {
		return this.#sets.findLast((set) => set.time <= time);
	}

	root(set: SnapshotSet): Entry | undefined {
		return this.#index.root(set);
	}

	entry(set: SnapshotSet, node: number): Entry | undefined {
		return this.#index.entry(set, node);
	}

	/** In bytewise order of names. */
	list(set: SnapshotSet, directory: number): Entry[] {
		return this.#index.list(set, directory);
	}

	/**
	 * The same with less of each, for whoever only wants to show them: at most PAGE entries behind the node `after`; 0 is before all.
	 * @throws MissingObjectError when the set has gone: else a directory would seem to end there
	 */
	listStat(set: SnapshotSet, directory: number, after: number): ListedEntry[] {
		const entries = this.#index.listStat(set, directory, after);
		if (this.#index.hasSet(set.id)) return entries;
		throw deleted();
	}

	/** Whether any entry of any snapshot has extended attributes. */
	hasXattrs(): boolean {
		return this.#index.hasXattrs();
	}

	lookup(set: SnapshotSet, directory: number, name: Buffer): Entry | undefined {
		return this.#index.lookup(set, directory, name);
	}

	/** The entry of a path relative to the source; slashes at its ends, and doubled ones, don't matter. */
	find(set: SnapshotSet, path: Buffer): Entry | undefined {
		let entry = this.root(set);
		for (const name of components(path)) {
			if (entry?.type !== 'dir') return undefined;
			entry = this.lookup(set, entry.node, name);
		}
		return entry;
	}

	/**
	 * Bytes of an entry. In a foreign collection the first question about a file reads the volume that holds it.
	 * @throws DamageError, KeyError, TargetError when it cannot be found out
	 */
	async size(set: SnapshotSet, entry: Entry): Promise<number> {
		return entry.size ?? this.#resolver.size(set, entry.node);
	}

	/** A regular file's content, to be read at any offset. @throws as `size` */
	async open(set: SnapshotSet, { node }: Pick<Entry, 'node'>): Promise<FileReader> {
		const map = new ExtentMap(await this.#resolver.extents(set, node));
		return new FileReader(this.#content, map, () => this.#index.hasSet(set.id));
	}

	/**
	 * The contents of files in a directory, from this one on in the order of names, as many as fit into `limit` bytes. For readers who
	 * go through it; what takes more than reading is left out.
	 */
	async following(set: SnapshotSet, node: number, limit: number): Promise<WholeFile[]> {
		const files: WholeFile[] = [];
		let left = limit;
		for (const file of this.#index.following(set, node)) {
			if (file.size > left) break;
			left -= file.size;
			const bytes = await this.#content.read(file.extents).catch(() => null);
			if (bytes) files.push({ node: file.node, bytes });
		}
		return this.#index.hasSet(set.id) ? files : [];
	}

	/**
	 * Hard links: how many names the entry's file has in the snapshot, and the node of the first of them, which stands for the file.
	 * Names belong together if the backup saw them as one file and they have the same metadata, so also the same content.
	 */
	names(set: SnapshotSet, entry: StatEntry): Names {
		if (entry.hardLink === null) return { names: 1, first: entry.node };
		const { hardLink, type, mode, uid, gid, mtime, mtimeNs, size } = entry;
		const key = [set.id, hardLink, type, mode, uid, gid, mtime, mtimeNs, size].join();
		let names = this.#names.get(key);
		if (!names) {
			names = this.#index.names(set, entry);
			this.#names.set(key, names);
		}
		return names;
	}

	/** Entries and bytes in a snapshot. */
	totals(set: SnapshotSet): Totals {
		let totals = this.#totals.get(set.id);
		if (!totals) {
			totals = this.#index.totals(set);
			this.#totals.set(set.id, totals);
		}
		return totals;
	}
}

export class FileReader {
	readonly #content: Content;
	readonly #map: ExtentMap;
	readonly #isShown: () => boolean;

	/** @param isShown whether its set is still there */
	constructor(content: Content, map: ExtentMap, isShown: () => boolean) {
		this.#content = content;
		this.#map = map;
		this.#isShown = isShown;
	}

	/** Bytes. */
	get size(): number {
		return this.#map.length;
	}

	/** Up to `length` bytes from `offset`; fewer only at the end of the file. @throws DamageError, TargetError */
	async read(offset: number, length: number): Promise<Buffer> {
		return this.#checked(await this.#content.read(this.#extents(offset, length)));
	}

	/** The same in pieces, which nobody may change. */
	async pieces(offset: number, length: number): Promise<Buffer[]> {
		return this.#checked(await this.#content.pieces(this.#extents(offset, length)));
	}

	/** Another set may have the time, and so the volumes, of one that has gone. */
	#checked<T>(bytes: T): T {
		if (this.#isShown()) return bytes;
		throw deleted();
	}

	#extents(offset: number, length: number): Extent[] {
		const start = Math.min(offset, this.size);
		return this.#map.slice(start, Math.min(length, this.size - start));
	}
}

function deleted(): MissingObjectError {
	return new MissingObjectError('It lies in a backup that was deleted meanwhile.');
}

function components(path: Buffer): Buffer[] {
	// Latin-1 keeps every byte while the string functions do the splitting.
	return path
		.toString('latin1')
		.split('/')
		.filter((name) => name !== '' && name !== '.')
		.map((name) => Buffer.from(name, 'latin1'));
}
