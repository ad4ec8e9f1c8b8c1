/** The way of somebody who goes through a tree depth first, in the order of its listings: which directory he lists next. */
import type { DirectoryEntry } from './driver.js';

export class Route {
	/** Directories that were listed, but not looked into; the next one is last. */
	#ahead: number[] = [];
	/** The directory that he listed last, and how many of those ahead are not in it. */
	#here = 0;
	#outside = 0;

	/** Inode of the directory that he will list next; null: unknown. */
	get next(): number | null {
		return this.#ahead.at(-1) ?? null;
	}

	/** He lists a directory. @returns whether it is the one that was next */
	enter(ino: number, entries: readonly DirectoryEntry[]): boolean {
		const isNext = this.next === ino;
		// What he left out he does not come back to; who is somewhere else begins a new way.
		this.#ahead.length = Math.max(0, this.#ahead.lastIndexOf(ino));
		this.#here = ino;
		this.#outside = this.#ahead.length;
		this.goOn(ino, entries);
		return isNext;
	}

	/** He lists more of a directory. @returns whether it is the one that he listed last */
	goOn(ino: number, entries: readonly DirectoryEntry[]): boolean {
		if (ino !== this.#here) return false;
		const folders = entries.filter(({ type }) => type === 'dir').map((entry) => entry.ino);
		// He will look into those that were listed before first.
		this.#ahead.splice(this.#outside, 0, ...folders.reverse());
		return true;
	}
}
