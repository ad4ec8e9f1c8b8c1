/** What a verification finds, as it goes on and in the end. Plain data. */
import type { Coverage } from '../index/verified.js';
import type { Item } from './items.js';

export interface Finding {
	/** The object's name. */
	readonly object: string;
	readonly part: Item['part'];
	/** Of its set, s. */
	readonly time: number;
	/**
	 * `locked`: no key opens it. `unsigned`: not signed by the key that it should be signed by. `unreadable`: the target does not give it, or it is of a kind that nobody here knows.
	 */
	readonly state: 'damaged' | 'missing' | 'locked' | 'unsigned' | 'unreadable';
	readonly reason: string;
}

export interface VerifyReporter {
	/** An object that is not good: once all were read, because some explain others. */
	object(finding: Finding): void;
	/** A file of the snapshot that cannot be read. */
	lost(path: Buffer, reason: string): void;
	/** A path that is not in the source as it is in the snapshot. */
	difference(path: Buffer, what: readonly string[]): void;
	warn(message: string): void;
	progress(words: () => string): void;
}

export interface VerifyReport {
	/** Of the snapshot, s; null when only a sample of the collection was verified, or the snapshot cannot be shown. */
	readonly time: number | null;
	/** Objects, and bytes of them, that were read. */
	readonly objects: number;
	readonly bytes: number;
	readonly findings: readonly Finding[];
	/** Files that cannot be read. */
	readonly lost: number;
	/** Paths; null when nothing was compared. */
	readonly compared: number | null;
	readonly differences: number;
	readonly warnings: number;
	/** How much of the collection was verified by now. */
	readonly coverage: Coverage;
	/** Exit code. */
	readonly exit: number;
}
