/** The TIME argument of commands that look into one snapshot. */
import { openProfile } from '../collection/access.js';
import { parseTime } from '../collection/times.js';
import { UsageError } from '../errors.js';
import type { SnapshotSet } from '../index/entry.js';
import { findProfile } from '../profile/find.js';
import { type OpenCollection, openSnapshots } from '../snapshots/open.js';
import { listenerFor, localTime, type Output } from './output.js';

export interface OpenSnapshot {
	readonly collection: OpenCollection;
	readonly set: SnapshotSet;
}

/**
 * @param time the newest snapshot that is not later; undefined for the newest of all
 * @throws UsageError when there is none: what duplicity would answer from the first backup is an error here
 */
export async function openSnapshot(
	profile: string,
	time: string | undefined,
	output: Output,
): Promise<OpenSnapshot> {
	const access = await openProfile(findProfile(profile));
	output.introduce(access);
	const wanted = parseTime(time ?? 'now', Math.floor(Date.now() / 1000));
	const collection = await openSnapshots(access, listenerFor(output));
	const sets = collection.snapshots.sets();
	// Without a time the newest is meant, also where its clock was ahead of this one.
	const set = time === undefined || time === 'now' ? sets.at(-1) : collection.snapshots.at(wanted);
	const missed = collection.unusable.find((u) => u.set.time <= wanted && u.set.time > (set?.time ?? 0));
	if (missed) {
		output.warn(`the snapshot of ${localTime(missed.set.time)} cannot be used: ${missed.reason}`);
	}
	if (set) return { collection, set };
	collection.close();
	const [first] = sets;
	throw new UsageError(
		first
			? `The first backup is of ${localTime(first.time)}: there is none before.`
			: collection.collection.chains.length > 0
				? 'None of the backups can be used.'
				: 'There are no backups yet.',
	);
}
