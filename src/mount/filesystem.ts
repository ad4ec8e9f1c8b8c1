/**
 * The snapshots of one or several collections as the file system that drivers serve: one folder per snapshot, `latest`
 * beside them, with several collections one folder each above. Everything below a snapshot's folder never changes; snapshots come and
 * go (`refresh`).
 */
import { TsdupError } from '../errors.js';
import type { Entry, SnapshotSet } from '../index/entry.js';
import { PAGE } from '../index/index.js';
import { CACHE_FULL, isFull } from '../index/sqlite.js';
import type { FileReader, Snapshots } from '../snapshots/snapshots.js';
import { decodeXattrs, type Xattr } from '../volume/xattrs.js';
import { attributes, listed, ONE } from './attributes.js';
import {
	type Attributes,
	type DirectoryEntry,
	Errno,
	type FileSystem,
	type OpenFile,
	type Part,
} from './driver.js';
import { type Changed, Folders, type Name, type Shown } from './folders.js';
import { isOwn, MOST_COLLECTIONS, placeOf } from './inodes.js';

export interface MountedCollection {
	/** Name of its folder, when several are mounted. */
	readonly name: string;
	readonly snapshots: Snapshots;
}

export interface FileSystemOptions {
	/** Told of each read that fails, and why. */
	readonly log: (message: string) => void;
	/** Told when somebody looks at a folder in which snapshots come and go, before he is answered. */
	readonly looked?: () => void;
	/** For drivers that cannot give the name of a folder to another one. */
	readonly namesStay?: boolean;
}

/** An inode of a snapshot: where it belongs. */
interface Located {
	shown: Shown;
	set: SnapshotSet;
	node: number;
	/** Added to a node's number to make an inode of the same place. */
	base: number;
}

export class SnapshotFileSystem implements FileSystem {
	readonly #collections: readonly Shown[];
	/** By the number in inodes; those before `replace`, too. */
	readonly #numbered = new Map<number, Shown>();
	readonly #folders: Folders;
	readonly #log: (message: string) => void;
	readonly #looked: () => void;
	readonly #open = new Map<number, { reader: FileReader; what: string }>();
	#nextHandle = 1;

	constructor(collections: readonly MountedCollection[], options: FileSystemOptions) {
		this.#collections = collections.map((collection, i) => ({ ...collection, number: i + 1 }));
		for (const shown of this.#collections) this.#numbered.set(shown.number, shown);
		this.#folders = new Folders(this.#collections, options.namesStay ?? false);
		this.#log = options.log;
		this.#looked = options.looked ?? (() => {});
	}

	/** Shows the snapshots that the indexes know by now. @returns what the kernel should forget */
	refresh(): Changed[] {
		const others = this.#collections.map(({ snapshots }) => snapshots.reload());
		return others.includes(true) ? this.#folders.update() : [];
	}

	/**
	 * Shows a collection as another index has it. Its nodes are other ones, so all its inodes are, too; what is open stays what it is.
	 * @returns what the kernel should forget; null when that has been done too often
	 */
	replace(i: number, snapshots: Snapshots): Changed[] | null {
		const shown = this.#collections[i] as Shown;
		const number = this.#numbered.size + 1;
		if (number > MOST_COLLECTIONS) return null;
		this.#numbered.set(shown.number, { ...shown });
		Object.assign(shown, { snapshots, number });
		this.#numbered.set(number, shown);
		return this.#folders.update();
	}

	hasXattrs(): boolean {
		return this.#collections.some(({ snapshots }) => snapshots.hasXattrs());
	}

	isFixed(ino: number): boolean {
		return !isOwn(ino);
	}

	async getattr(ino: number): Promise<Attributes> {
		if (isOwn(ino)) {
			this.#looked();
			return this.#folders.attributes(ino);
		}
		const place = this.#place(ino);
		if (place.node === LINK) return this.#folders.link(ino, place.shown, place.set).attributes;
		return this.#attributes(place, this.#entry(place));
	}

	async lookup(parent: number, name: Buffer): Promise<Attributes> {
		// The kernel leaves it to the file system.
		if (name.length > LONGEST_NAME) throw new Errno('ENAMETOOLONG');
		if (isOwn(parent)) {
			this.#looked();
			// Names of profiles and snapshots are text.
			const found = this.#folders.names(parent).get(name.toString());
			if (!found) throw new Errno('ENOENT');
			return this.getattr(found.ino);
		}
		const place = this.#place(parent);
		const entry = place.shown.snapshots.lookup(place.set, place.node, name);
		if (!entry) throw new Errno('ENOENT');
		return this.#attributes(place, entry);
	}

	async readdir(ino: number, after: number): Promise<Part> {
		if (isOwn(ino)) {
			this.#looked();
			const names = [...this.#folders.names(ino).values()];
			return { entries: names.map((name, i) => this.#listed(name, i + 1)).slice(after), isLast: true };
		}
		const { shown, set, node, base } = this.#place(ino);
		const { snapshots } = shown;
		const entries = snapshots.listStat(set, node, after).map((entry) => {
			return listed(entry.name, entry.node, base, entry, snapshots.names(set, entry), entry.hasXattrs);
		});
		return { entries, isLast: entries.length < PAGE };
	}

	async readlink(ino: number): Promise<Buffer> {
		const place = this.#place(ino);
		if (place.node === LINK) return this.#folders.link(ino, place.shown, place.set).target;
		const { link } = this.#entry(place);
		if (!link) throw new Errno('EINVAL');
		return link;
	}

	async listxattr(ino: number): Promise<Buffer[]> {
		return this.#xattrs(ino).map(({ name }) => name);
	}

	async getxattr(ino: number, name: Buffer): Promise<Buffer> {
		const found = this.#xattrs(ino).find((xattr) => xattr.name.equals(name));
		if (!found) throw new Errno('ENODATA');
		return found.value;
	}

	#xattrs(ino: number): Xattr[] {
		if (isOwn(ino)) return [];
		const place = this.#place(ino);
		return place.node === LINK ? [] : decodeXattrs(this.#entry(place).xattrs);
	}

	async open(ino: number): Promise<OpenFile> {
		const place = this.#place(ino);
		const entry = this.#entry(place);
		if (entry.type !== 'file') throw new Errno(entry.type === 'dir' ? 'EISDIR' : 'EINVAL');
		const what = describe(entry, place.set);
		const reader = await this.#orEio(what, () => place.shown.snapshots.open(place.set, entry));
		const handle = this.#nextHandle++;
		this.#open.set(handle, { reader, what });
		return { handle, size: reader.size };
	}

	async read(handle: number, offset: number, length: number): Promise<Buffer[]> {
		const file = this.#open.get(handle);
		if (!file) throw new Errno('EBADF');
		return this.#orEio(file.what, () => file.reader.pieces(offset, length));
	}

	/** What is damaged or out of reach is told to the log in full, and to the reader as EIO. */
	async #orEio<T>(what: string, act: () => Promise<T>): Promise<T> {
		try {
			return await act();
		} catch (error) {
			const reason = isFull(error) ? CACHE_FULL : error instanceof TsdupError ? error.message : null;
			if (reason === null) throw error;
			this.#log(`${what} cannot be read: ${reason}`);
			throw new Errno('EIO');
		}
	}

	async #attributes({ shown: collection, set, base }: Located, entry: Entry): Promise<Attributes> {
		const size =
			entry.size ?? (await this.#orEio(describe(entry, set), () => collection.snapshots.size(set, entry)));
		return attributes(base, entry, size, collection.snapshots.names(set, entry), entry.xattrs !== null);
	}

	async release(handle: number): Promise<void> {
		this.#open.delete(handle);
	}

	async following(ino: number, limit: number): Promise<{ ino: number; bytes: Buffer }[]> {
		const { shown: collection, set, node, base } = this.#place(ino);
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

	#listed({ name, ino, set }: Name, offset: number): DirectoryEntry {
		const bytes = Buffer.from(name);
		if (isOwn(ino))
			return { name: bytes, ino, offset, type: 'dir', attributes: this.#folders.attributes(ino) };
		const place = this.#place(ino);
		if (place.node === LINK) {
			const { attributes } = this.#folders.link(ino, place.shown, set as SnapshotSet);
			return { name: bytes, ino, offset, type: 'symlink', attributes };
		}
		const entry = this.#entry(place);
		return listed(bytes, offset, place.base, entry, ONE, entry.xattrs !== null);
	}

	/** @throws Errno ESTALE when its snapshot has gone */
	#place(ino: number): Located {
		const { collection, set: id, node, base } = placeOf(ino);
		const shown = this.#numbered.get(collection);
		const set = shown?.snapshots.set(id);
		if (!shown || !set) throw new Errno('ESTALE');
		return { shown, set, node, base };
	}

	#entry({ shown, set, node }: Located): Entry {
		const entry = shown.snapshots.entry(set, node);
		if (!entry) throw new Errno('ESTALE');
		return entry;
	}
}

/** The node number of the symlink to a snapshot. */
const LINK = 0;

/** Bytes; what `statfs` says, too. */
const LONGEST_NAME = 255;

function describe(entry: Entry, set: SnapshotSet): string {
	return `${entry.name.toString()} of ${new Date(set.time * 1000).toISOString()}`;
}
