/** Listings in parts: while a reader is busy with one, the next is made ready. */
import { setImmediate as others } from 'node:timers/promises';
import { LRUCache } from 'lru-cache';
import type { DirectoryEntry, FileSystem, Part } from './driver.js';

/** Parts that are kept ready: more than long directories are usually read at once. */
const READY = 4;

export class Parts {
	readonly #tree: Pick<FileSystem, 'isFixed' | 'readdir'>;
	readonly #ready = new LRUCache<string, Promise<Part>>({ max: READY });

	constructor(tree: Pick<FileSystem, 'isFixed' | 'readdir'>) {
		this.#tree = tree;
	}

	/** As the tree's own. */
	readdir(ino: number, after: number): Promise<Part> {
		return this.#ready.get(keyOf(ino, after)) ?? this.#tree.readdir(ino, after);
	}

	/** Somebody was given a part of a directory. */
	given(ino: number, { entries, isLast }: Part): void {
		const after = entries.at(-1)?.offset;
		if (isLast || after === undefined || !this.#tree.isFixed(ino)) return;
		const key = keyOf(ino, after);
		if (this.#ready.has(key)) return;
		// Whoever waits for an answer goes first.
		const part = others().then(() => this.#tree.readdir(ino, after));
		// Who has asked for it by then is told why; the next one may have more luck.
		part.catch(() => this.#ready.delete(key));
		this.#ready.set(key, part);
	}
}

/** All parts of a directory, for whoever cannot use them one by one. @throws as `readdir` */
export async function wholeListing(
	tree: Pick<FileSystem, 'readdir'>,
	ino: number,
): Promise<DirectoryEntry[]> {
	const entries: DirectoryEntry[] = [];
	for (let isLast = false; !isLast; ) {
		const part = await tree.readdir(ino, entries.at(-1)?.offset ?? 0);
		entries.push(...part.entries);
		isLast = part.isLast;
	}
	return entries;
}

function keyOf(ino: number, after: number): string {
	return `${ino} ${after}`;
}
