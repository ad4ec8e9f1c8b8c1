/**
 * Notices who goes through a set of duplicity's in the order of its volumes (`ls -lR`, `cp -a`), and says which one he will want
 * next: it is fetched while he waits for this one.
 */
import { type ForeignObject, foreignObject } from '../index/foreign.js';
import type { Index } from '../index/index.js';

/** Volumes in a row before the next one is fetched, too: they are large. */
const PATIENCE = 3;

interface Wait {
	/** The last volume that was waited for. */
	readonly id: number;
	/** How often the one after it was. */
	readonly inRow: number;
}

export class VolumeOrder {
	readonly #index: Index;
	/** By set. */
	readonly #waits = new Map<number, Wait>();

	constructor(index: Index) {
		this.#index = index;
	}

	/** @param volumes those of a file that are waited for now. @returns the one to fetch with them; null: none */
	next(volumes: readonly Pick<ForeignObject, 'id' | 'setTime'>[]): number | null {
		const [first, last] = [volumes[0], volumes.at(-1)];
		if (!first || !last) return null;
		const before = this.#waits.get(first.setTime);
		// Volumes of a set have numbers in a row; the one between may have been fetched already.
		const isNext = before !== undefined && (first.id === before.id + 1 || first.id === before.id + 2);
		const inRow = isNext ? before.inRow + 1 : 1;
		this.#waits.set(first.setTime, { id: last.id, inRow });
		if (inRow < PATIENCE) return null;
		const next = foreignObject(this.#index, last.id + 1);
		return next && !next.indexed && next.setTime === last.setTime ? next.id : null;
	}
}
