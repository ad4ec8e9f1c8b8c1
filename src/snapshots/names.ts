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
	const days = new Map<string, SnapshotSet[]>();
	for (const set of sets) {
		const day = snapshotDate(set.time);
		days.set(day, [...(days.get(day) ?? []), set]);
	}
	const names: SnapshotName[] = [];
	for (const [day, ofDay] of days) {
		const several = ofDay.length > 1;
		names.push({ name: day, set: ofDay.at(-1) as SnapshotSet, alias: several });
		if (several) for (const set of ofDay) names.push({ name: snapshotDateTime(set.time), set, alias: false });
	}
	return names;
}
