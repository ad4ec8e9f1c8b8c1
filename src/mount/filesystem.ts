/**
 * The snapshots of one or several collections as the file system that drivers serve: one folder per snapshot, `latest`
 * beside them, with several collections one folder each above. Everything below a snapshot's folder never changes.
 *
 * Inode numbers say where they belong, so they are the same after every remount with the same index:
 * ((collection × 2^15 + snapshot × 2 + alias) × 2^32) + node; below 2^53. Collection 0 holds the folders that tsdup makes.
 */
import { TsdupError } from '../errors.js';
import type { Entry, ListedEntry, SnapshotSet } from '../index/entry.js';
import { ROOT_NODE } from '../index/entry.js';
import { snapshotNames } from '../snapshots/names.js';
import type { FileReader, Snapshots } from '../snapshots/snapshots.js';
import { type Attributes, type DirectoryEntry, Errno, type FileSystem, type OpenFile } from './driver.js';

const NODES = 2 ** 32;
const PLACES_PER_COLLECTION = 2 ** 15;
const ROOT_INO = 1;
const LATEST_INO = 2;
const FIRST_COLLECTION_INO = 16;

export interface MountedCollection {
	/** Name of its folder, when several are mounted. */
	readonly name: string;
	readonly snapshots: Snapshots;
}

/** Where an inode of a snapshot belongs. */
interface Place {
	collection: MountedCollection;
	set: SnapshotSet;
	node: number;
	/** Added to a node's number to make an inode of the same place. */
	base: number;
}

export class SnapshotFileSystem implements FileSystem {
	readonly #collections: readonly MountedCollection[];
	readonly #log: (message: string) => void;
	readonly #open = new Map<number, { reader: FileReader; what: string }>();
	#nextHandle = 1;

	/** @param log told of each read that fails, and why */
	constructor(collections: readonly MountedCollection[], log: (message: string) => void) {
		this.#collections = collections;
		this.#log = log;
	}

	async getattr(ino: number): Promise<Attributes> {
		const folder = this.#folder(ino);
		if (folder) return folderAttributes(ino, folder);
		if (ino < NODES) return this.#latest(ino).attributes;
		const place = this.#place(ino);
		return this.#attributes(place, this.#entry(place));
	}

	async lookup(parent: number, name: Buffer): Promise<Attributes> {
		if (parent < NODES) {
			const found = this.#folderEntries(parent).find((entry) => entry.name.equals(name));
			if (!found) throw new Errno('ENOENT');
			return found.attributes ?? this.getattr(found.ino);
		}
		const place = this.#place(parent);
		const entry = place.collection.snapshots.lookup(place.set, place.node, name);
		if (!entry) throw new Errno('ENOENT');
		return this.#attributes(place, entry);
	}

	async readdir(ino: number): Promise<DirectoryEntry[]> {
		if (ino < NODES) return this.#folderEntries(ino);
		const { collection, set, node, base } = this.#place(ino);
		return collection.snapshots
			.listStat(set, node)
			.map((entry) => shown(entry.name, base + entry.node, entry));
	}

	async readlink(ino: number): Promise<Buffer> {
		if (ino < NODES) return this.#latest(ino).target;
		const { link } = this.#entry(this.#place(ino));
		if (!link) throw new Errno('EINVAL');
		return link;
	}

	async open(ino: number): Promise<OpenFile> {
		const place = this.#place(ino);
		const entry = this.#entry(place);
		if (entry.type !== 'file') throw new Errno(entry.type === 'dir' ? 'EISDIR' : 'EINVAL');
		const what = describe(entry, place.set);
		const reader = await this.#orEio(what, () => place.collection.snapshots.open(place.set, entry));
		const handle = this.#nextHandle++;
		this.#open.set(handle, { reader, what });
		return { handle, size: reader.size };
	}

	async read(handle: number, offset: number, length: number): Promise<Buffer> {
		const file = this.#open.get(handle);
		if (!file) throw new Errno('EBADF');
		return this.#orEio(file.what, () => file.reader.read(offset, length));
	}

	/** What is damaged or out of reach is told to the log in full, and to the reader as EIO. */
	async #orEio<T>(what: string, act: () => Promise<T>): Promise<T> {
		try {
			return await act();
		} catch (error) {
			if (!(error instanceof TsdupError)) throw error;
			this.#log(`${what} cannot be read: ${error.message}`);
			throw new Errno('EIO');
		}
	}

	async #attributes({ collection, set, base }: Place, entry: Entry): Promise<Attributes> {
		const size =
			entry.size ?? (await this.#orEio(describe(entry, set), () => collection.snapshots.size(set, entry)));
		return attributes(base + entry.node, entry, size);
	}

	async release(handle: number): Promise<void> {
		this.#open.delete(handle);
	}

	async following(ino: number, limit: number): Promise<{ ino: number; bytes: Buffer }[]> {
		const { collection, set, node, base } = this.#place(ino);
		const files = await collection.snapshots.following(set, node, limit);
		return files.map((file) => ({ ino: base + file.node, bytes: file.bytes }));
	}

	async statfs(): Promise<{ blockSize: number; blocks: number; files: number }> {
		let bytes = 0;
		let files = 0;
		for (const { snapshots } of this.#collections) {
			const newest = snapshots.sets().at(-1);
			if (!newest) continue;
			const totals = snapshots.totals(newest);
			bytes += totals.bytes;
			files += totals.files;
		}
		const blockSize = 4096;
		return { blockSize, blocks: Math.ceil(bytes / blockSize), files };
	}

	/** The collection whose snapshots a folder of tsdup's own lists; 'all' for the root above several. */
	#folder(ino: number): MountedCollection | 'all' | undefined {
		if (ino === ROOT_INO) return this.#collections.length === 1 ? this.#collections[0] : 'all';
		if (this.#collections.length === 1 || ino % 2 !== 0 || ino >= NODES) return undefined;
		return this.#collections[(ino - FIRST_COLLECTION_INO) / 2];
	}

	#folderEntries(ino: number): DirectoryEntry[] {
		const folder = this.#folder(ino);
		if (!folder) throw new Errno(ino < NODES ? 'ENOTDIR' : 'ENOENT');
		if (folder === 'all') {
			return this.#collections.map((collection, i) =>
				listed(collection.name, folderAttributes(FIRST_COLLECTION_INO + 2 * i, collection)),
			);
		}
		const names = snapshotNames(folder.snapshots.sets());
		const entries: DirectoryEntry[] = [];
		for (const { name, set, alias } of names) {
			const entry = folder.snapshots.root(set);
			if (!entry) continue;
			const ino = this.#base(folder, set, alias) + ROOT_NODE;
			entries.push(shown(Buffer.from(name), ino, entry));
		}
		if (entries.length > 0) {
			const latest = this.#latest(ino === ROOT_INO ? LATEST_INO : ino + 1);
			entries.push(listed('latest', latest.attributes));
		}
		return entries;
	}

	/** The symlink to a collection's newest snapshot. Its inode follows its folder's. */
	#latest(ino: number): { target: Buffer; attributes: Attributes } {
		const folder = this.#folder(ino === LATEST_INO ? ROOT_INO : ino - 1);
		if (!folder || folder === 'all') throw new Errno('ENOENT');
		const newest = folder.snapshots.sets().at(-1);
		const name = snapshotNames(folder.snapshots.sets()).find(({ set }) => set.id === newest?.id);
		if (!newest || !name) throw new Errno('ENOENT');
		const target = Buffer.from(name.name);
		return {
			target,
			attributes: {
				...OWN,
				ino,
				type: 'symlink',
				mode: 0o777,
				nlink: 1,
				size: target.length,
				mtime: newest.time,
			},
		};
	}

	#base(collection: MountedCollection, set: SnapshotSet, alias: boolean): number {
		const number = this.#collections.indexOf(collection) + 1;
		return (number * PLACES_PER_COLLECTION + set.id * 2 + (alias ? 1 : 0)) * NODES;
	}

	#place(ino: number): Place {
		const place = Math.floor(ino / NODES);
		const collection = this.#collections[Math.floor(place / PLACES_PER_COLLECTION) - 1];
		const id = Math.floor((place % PLACES_PER_COLLECTION) / 2);
		const set = collection?.snapshots.sets().find((candidate) => candidate.id === id);
		if (!collection || !set) throw new Errno('ENOENT');
		return { collection, set, node: ino % NODES, base: place * NODES };
	}

	#entry({ collection, set, node }: Place): Entry {
		const entry = collection.snapshots.entry(set, node);
		if (!entry) throw new Errno('ENOENT');
		return entry;
	}
}

/** What folders and links that tsdup makes have in common. */
const OWN = { uid: process.getuid?.() ?? 0, gid: process.getgid?.() ?? 0, devMajor: 0, devMinor: 0 };

function folderAttributes(ino: number, folder: MountedCollection | 'all'): Attributes {
	const mtime = folder === 'all' ? 0 : (folder.snapshots.sets().at(-1)?.time ?? 0);
	return { ...OWN, ino, type: 'dir', mode: 0o755, nlink: 1, size: 0, mtime };
}

function listed(name: string, attributes: Attributes): DirectoryEntry {
	return { name: Buffer.from(name), ino: attributes.ino, type: attributes.type, attributes };
}

/** What a listing tells of an entry. */
function shown(name: Buffer, ino: number, entry: ListedEntry): DirectoryEntry {
	const { type, size } = entry;
	return { name, ino, type, attributes: size === null ? null : attributes(ino, entry, size) };
}

function describe(entry: Entry, set: SnapshotSet): string {
	return `${entry.name.toString()} of ${new Date(set.time * 1000).toISOString()}`;
}

function attributes(ino: number, entry: ListedEntry, size: number): Attributes {
	const { type, uid, gid, mtime, devMajor, devMinor } = entry;
	// A backup doesn't record a symlink's mode; Linux shows all of them as 0777.
	const mode = type === 'symlink' ? 0o777 : entry.mode;
	// 1 also for directories: subdirectories are not counted, and `find` takes 1 as just that.
	return { ino, type, mode, nlink: 1, uid, gid, size, mtime, devMajor, devMinor };
}
