/**
 * From the paths that a path-based FUSE library speaks to the inodes of a `FileSystem`. One per mount.
 * Paths are absolute strings in which each character is one byte (latin1).
 */
import { LRUCache } from 'lru-cache';
import { type Attributes, Errno, type FileSystem, ROOT_INO } from './driver.js';

/** At about 200 bytes each, 4 MB; a directory that fell out costs one lookup for each level. */
const REMEMBERED_DIRECTORIES = 20_000;

/** Snapshots stand at level 1, or 2 where each profile is a folder; what lies within them never changes. */
const CHANGING_LEVELS = 2;

export class PathResolver {
	readonly #fs: FileSystem;
	readonly #deep = new LRUCache<string, number>({ max: REMEMBERED_DIRECTORIES });
	readonly #shallow = new Map<string, number>();

	constructor(fs: FileSystem) {
		this.#fs = fs;
	}

	/** The attributes of what stands at `path`; throws what `lookup` throws, and ESTALE for a directory that was exchanged. */
	async resolve(path: string): Promise<Attributes> {
		if (path === '/') return this.#fs.getattr(ROOT_INO);
		const slash = path.lastIndexOf('/');
		const parent = await this.directory(path.slice(0, slash) || '/');
		const attributes = await this.#fs.lookup(parent, Buffer.from(path.slice(slash + 1), 'latin1'));
		if (attributes.type === 'dir') this.#remember(path, attributes.ino);
		return attributes;
	}

	/** The inode of the directory at `path`; throws as `resolve`, and ENOTDIR. */
	async directory(path: string): Promise<number> {
		if (path === '/') return ROOT_INO;
		const known = this.#deep.get(path);
		if (known !== undefined) return known;
		const attributes = await this.resolve(path);
		if (attributes.type !== 'dir') throw new Errno('ENOTDIR');
		return attributes.ino;
	}

	/**
	 * libfuse gives a path one node for as long as the kernel knows it, and the kernel caches pages by node.
	 * Another directory under a known path would therefore show the former one's pages: refuse it.
	 */
	#remember(path: string, ino: number): void {
		if (path.split('/').length - 1 > CHANGING_LEVELS) {
			this.#deep.set(path, ino);
			return;
		}
		const before = this.#shallow.get(path);
		if (before !== undefined && before !== ino) {
			throw new Errno('ESTALE', 'another directory has taken this name; mount again to see it');
		}
		this.#shallow.set(path, ino);
	}
}
