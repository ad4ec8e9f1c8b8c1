/** The snapshot before, as a walk reads it. */
import type { FormerEntry, SnapshotSet } from '../index/entry.js';
import { type Index, PAGE } from '../index/index.js';
import type { Change } from './change.js';
import { childPath } from './source.js';

export interface Before {
	readonly index: Index;
	readonly set: SnapshotSet;
}

export class FormerTree {
	readonly #before: Before | null;

	/** @param before null: there is none */
	constructor(before: Before | null) {
		this.#before = before;
	}

	root(): FormerEntry | null {
		return this.#before?.index.root(this.#before.set) ?? null;
	}

	/** What is in a directory, in bytewise order of names, a page at a time: there may be a million. */
	*list(directory: FormerEntry | null): Generator<FormerEntry, void> {
		if (!this.#before || !directory) return;
		const { index, set } = this.#before;
		for (let after = Buffer.alloc(0); ; ) {
			const page = index.listAfter(set, directory.node, after);
			yield* page;
			if (page.length < PAGE) return;
			after = Buffer.from((page.at(-1) as FormerEntry).name);
		}
	}

	lookup(directory: FormerEntry | null, name: Buffer): FormerEntry | null {
		if (!this.#before || directory?.type !== 'dir') return null;
		return this.#before.index.lookup(this.#before.set, directory.node, name) ?? null;
	}

	/** A path that is not there any more, and all that was below it. */
	*gone(path: Buffer, entry: FormerEntry): Generator<Change, void> {
		yield { kind: 'deleted', path, previous: entry };
		if (entry.type === 'dir') yield* this.goneIn(path, entry);
	}

	*goneIn(path: Buffer, directory: FormerEntry | null): Generator<Change, void> {
		for (const below of this.list(directory)) yield* this.gone(childPath(path, below.name), below);
	}
}
