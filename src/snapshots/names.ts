/**
 * What the folders of snapshots are called: by local date. Where a day has more than one, the plain date is the
 * day's last, and every one of them also stands under its date and time.
 */
import { snapshotDate, snapshotDateTime } from '../collection/times.js';
import type { SnapshotSet } from '../index/entry.js';

export interface SnapshotName {
	readonly name: string;
	readonly set: SnapshotSet;
	/** Whether this is the plain date of a day with several snapshots: the same set has a longer name, too. */
	readonly alias: boolean;
}

/** @param sets oldest first */
export function snapshotNames(sets: readonly SnapshotSet[]): SnapshotName[] {
	const names: SnapshotName[] = [];
	for (const [day, ofDay] of grouped(sets, (set) => snapshotDate(set.time))) {
		const several = ofDay.length > 1;
		names.push({ name: day, set: ofDay.at(-1) as SnapshotSet, alias: several });
		if (!several) continue;
		for (const [name, ofSecond] of grouped(ofDay, (set) => snapshotDateTime(set.time))) {
			// The clock is put back once a year, and then an hour's local times come twice: the zone tells them apart.
			const zone = (set: SnapshotSet) => (ofSecond.length > 1 ? offset(set.time) : '');
			for (const set of ofSecond) names.push({ name: name + zone(set), set, alias: false });
		}
	}
	return names;
}

function grouped<T>(items: readonly T[], key: (item: T) => string): Map<string, T[]> {
	const groups = new Map<string, T[]>();
	for (const item of items) {
		const group = groups.get(key(item));
		if (group) group.push(item);
		else groups.set(key(item), [item]);
	}
	return groups;
}

/** The local zone at a time (s), as `+0200`. */
function offset(time: number): string {
	const minutes = -new Date(time * 1000).getTimezoneOffset();
	const two = (n: number) => String(Math.floor(n)).padStart(2, '0');
	return `${minutes < 0 ? '-' : '+'}${two(Math.abs(minutes) / 60)}${two(Math.abs(minutes) % 60)}`;
}
