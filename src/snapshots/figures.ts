/** What sets and chains cost on the target, how old they are and when they were last verified. */
import type { BackupSet, SetObject } from '../collection/backup-set.js';
import { parseTime } from '../collection/times.js';
import type { Index } from '../index/index.js';
import { type Coverage, coverage } from '../index/verified.js';

export interface Figures extends Coverage {
	readonly objects: number;
}

/** Of sets, all their objects together. */
export function figuresOf(index: Index, sets: readonly BackupSet[]): Figures {
	const objects = sets.flatMap(objectsOf);
	const bytes = objects.reduce((sum, { size }) => sum + size, 0);
	return { ...coverage(index, sets.flatMap(verifiable)), objects: objects.length, bytes };
}

/** What a set consists of on the target. */
export function objectsOf(set: BackupSet): SetObject[] {
	return [...verifiable(set), ...(set.jsonstat ? [set.jsonstat] : [])];
}

/** What is needed of it. */
export function verifiable({ manifest, sigtar, segment, volumes }: BackupSet): SetObject[] {
	return [manifest, sigtar, segment, ...volumes].filter((object) => object !== null);
}

/**
 * When (s) the next backup will be a full one by itself; null: never by age. May be in the past: then the next one is.
 * @param fullIfOlderThan as duplicity's option has it: an age, or a date
 * @param newestFull time of the newest full backup, s
 */
export function nextFullDue(fullIfOlderThan: string | null, newestFull: number, now: number): number | null {
	if (fullIfOlderThan === null) return null;
	const limit = parseTime(fullIfOlderThan, now);
	const isAge = parseTime(fullIfOlderThan, now + 1) !== limit;
	if (isAge) return newestFull + (now - limit);
	return newestFull < limit ? now : null;
}
