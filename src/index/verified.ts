/** Which objects of the target were read whole and found good, and when: so that parts of a collection can take turns. */
import type { ListedObject } from '../collection/backup-set.js';
import type { Index } from './index.js';

export function noteVerified({ db }: Index, { name, size }: ListedObject, time: number): void {
	db.prepare('INSERT OR REPLACE INTO verified VALUES (?, ?, ?)').run(name, size, time);
}

export function forgetVerified({ db }: Index, name: string): void {
	db.prepare('DELETE FROM verified WHERE name = ?').run(name);
}

/** When (s) an object, as it is now, was last found good; null: never. */
export function lastVerified({ db }: Index, { name, size }: ListedObject): number | null {
	const time = db.prepare('SELECT time FROM verified WHERE name = ? AND size = ?').pluck().get(name, size);
	return (time as number | undefined) ?? null;
}

export interface Coverage {
	/** Bytes of all objects. */
	readonly bytes: number;
	/** Bytes of those that were found good once. */
	readonly verified: number;
	/** When (s) the one that waits longest was found good; null while there are some that never were. */
	readonly oldest: number | null;
}

/** How much of these objects was verified, and since when. */
export function coverage(index: Index, objects: Iterable<ListedObject>): Coverage {
	let bytes = 0;
	let verified = 0;
	let oldest: number | null = Infinity;
	for (const object of objects) {
		const time = lastVerified(index, object);
		bytes += object.size;
		if (time !== null) verified += object.size;
		oldest = time === null || oldest === null ? null : Math.min(oldest, time);
	}
	return { bytes, verified, oldest: oldest === Infinity ? null : oldest };
}
