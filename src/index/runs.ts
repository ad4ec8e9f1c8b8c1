/**
 * Runs that have begun to store a set or to remove it, so that the next one can heal what a killed one left: volumes
 * without a manifest are gone on with or swept, a set without a segment gets it from the pending folder, where the segment
 * waits as ciphertext.
 */
import type { SetName } from '../collection/names.js';
import { forgetFolders } from './folders.js';
import type { Index } from './index.js';
import type { ObjectKey } from './set-import.js';

export interface Run {
	readonly set: SetName;
	/** Whether its segment lies, complete, in the pending folder. */
	readonly segmentReady: boolean;
	/** Of that segment; null when it is not encrypted. */
	readonly segmentKey: ObjectKey | null;
	/** Of its journal; null: it removes. `header`: of a message with the same key; empty when the backup is not encrypted. */
	readonly journalKey: ObjectKey | null;
}

export function beginRun(index: Index, set: SetName, { header, key }: ObjectKey): void {
	index.db
		.prepare('INSERT INTO runs (time, kind, start, journal_header, journal_key) VALUES (?, ?, ?, ?, ?)')
		.run(set.time, set.kind, set.start, header, key);
}

/** A run that is gone on with makes another segment. */
export function resumeRun(index: Index, set: SetName): void {
	index.db.prepare('UPDATE runs SET segment_header = NULL, segment_key = NULL WHERE time = ?').run(set.time);
}

/** From here on, the set's segment can be had from the pending folder. Comes before the manifest goes to the target. */
export function segmentReady(index: Index, set: SetName, key: ObjectKey | null): void {
	index.db
		.prepare('UPDATE runs SET segment_header = ?, segment_key = ? WHERE time = ?')
		.run(key?.header ?? NONE, key?.key ?? NONE, set.time);
}

/**
 * The sets are about to be removed. From here on they are like runs that were not committed: what is left of one without
 * its manifest is no set, and the next run sweeps it.
 */
export function beginRemoval(index: Index, sets: readonly SetName[]): void {
	const note = index.db.prepare('INSERT OR IGNORE INTO runs (time, kind, start) VALUES (?, ?, ?)');
	index.db.transaction(() => {
		for (const { time, kind, start } of sets) note.run(time, kind, start);
	})();
}

/** Its set is complete. */
export function endRun(index: Index, set: SetName): void {
	index.db.prepare('DELETE FROM runs WHERE time = ?').run(set.time);
}

/** It made no set. One of its name would be another run's, and have other folders. */
export function dropRun(index: Index, set: SetName): void {
	forgetFolders(index, set.time);
	endRun(index, set);
}

export function openRuns(index: Index): Run[] {
	const rows = index.db
		.prepare(`SELECT time, kind, start, segment_header AS header, segment_key AS key, journal_header AS journalHeader,
			journal_key AS journalKey FROM runs ORDER BY time`)
		.all() as {
		time: number;
		kind: 'full' | 'inc';
		start: number | null;
		header: Buffer | null;
		key: Buffer | null;
		journalHeader: Buffer | null;
		journalKey: Buffer | null;
	}[];
	return rows.map(({ time, kind, start, header, key, journalHeader, journalKey }) => ({
		set: { time, kind, start },
		segmentReady: header !== null,
		segmentKey: header?.length && key?.length ? { header, key } : null,
		journalKey: journalHeader && journalKey && { header: journalHeader, key: journalKey },
	}));
}

/** An unencrypted segment has no key. */
const NONE = Buffer.alloc(0);
