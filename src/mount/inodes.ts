/**
 * What inode numbers say: where an entry belongs. They are the same after every remount with the same index, and none ever means
 * two things while mounted, for kernels remember them.
 *
 * ((collection × 2^15 + set × 2 + alias) × 2^32) + node; below 2^53. Collection 0 holds the folders that tsdup makes, node 0 of a set is
 * the symlink to it.
 */
import { MOST_SETS } from '../index/entry.js';

const NODES = 2 ** 32;
const PLACES = (MOST_SETS + 1) * 2;

/** Collections are numbered from 1 to this. */
export const MOST_COLLECTIONS = 2 ** 6 - 1;

export interface Place {
	readonly collection: number;
	/** Its id. */
	readonly set: number;
	/** Whether it is reached by the plain date of a day with several snapshots. */
	readonly alias: boolean;
}

/** The inode number of node 0 at a place; that of a node is so many more. */
export function baseOf({ collection, set, alias }: Place): number {
	return (collection * PLACES + set * 2 + (alias ? 1 : 0)) * NODES;
}

export function placeOf(ino: number): Place & { readonly node: number; readonly base: number } {
	const place = Math.floor(ino / NODES);
	return {
		collection: Math.floor(place / PLACES),
		set: Math.floor((place % PLACES) / 2),
		alias: place % 2 === 1,
		node: ino % NODES,
		base: place * NODES,
	};
}

/** Whether it is a folder that tsdup makes, in which names come and go. */
export function isOwn(ino: number): boolean {
	return ino < NODES;
}
