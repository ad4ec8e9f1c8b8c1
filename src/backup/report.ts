/** What a backup run tells: while it goes on, and in the end. */
import type { SetName } from '../collection/names.js';
import type { Listener } from '../index/take-in.js';

/** `note`: something to know, nothing to do. */
export interface Reporter extends Listener {
	/** Something that is not backed up as it should be. */
	warn(message: string): void;
	progress(state: Progress): void;
	/** In a dry run: what would be stored. */
	would(effect: 'new' | 'changed' | 'deleted', path: Buffer): void;
}

export interface Progress {
	readonly path: Buffer;
	readonly full: boolean;
	readonly entries: number;
	/** Bytes. */
	readonly bytesRead: number;
	readonly bytesStored: number;
	/** What the snapshot before has, counted when it is asked for; null when there is none. */
	readonly expected: () => { readonly entries: number; readonly bytes: number } | null;
}

export interface BackupReport {
	set: SetName;
	/** Entries in the source. */
	entries: number;
	newEntries: number;
	changedEntries: number;
	deletedEntries: number;
	/** Bytes. */
	bytesRead: number;
	bytesStored: number;
	volumes: number;
	warnings: number;
}

/** The counts of a report, to be filled while the run goes on. */
export type Counts = { -readonly [K in keyof Omit<BackupReport, 'set'>]: BackupReport[K] };

export function newCounts(): Counts {
	return {
		entries: 0,
		newEntries: 0,
		changedEntries: 0,
		deletedEntries: 0,
		bytesRead: 0,
		bytesStored: 0,
		volumes: 0,
		warnings: 0,
	};
}
