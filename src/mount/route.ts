/** The way of somebody who goes through a tree depth first, in the order of its listings: which directory he lists next. */
import type { DirectoryEntry } from './driver.js';

export class Route {
	/** Directories that were listed, but not looked into; the next one is last. */
	#ahead: number[] = [];

	/** Inode of the directory that he will list next; null: unknown. */
	get next(): number | null {
		return this.#ahead.at(-1) ?? null;
	}

	/** He lists a directory. @returns whether it is the one that was next */
	enter(ino: number, entries: readonly DirectoryEntry[]): boolean {
		const isNext = this.next === ino;
		// What he left out he does not come back to; who is somewhere else begins a new way.
		this.#ahead.length = Math.max(0, this.#ahead.lastIndexOf(ino));
		for (const entry of entries.toReversed()) if (entry.type === 'dir') this.#ahead.push(entry.ino);
		return isNext;
	}
}
