/** What a listing of a target amounts to: objects, sets of them, chains of sets. Plain data, made by sets.ts and chains.ts. */
import type { SetName } from './names.js';

export interface ListedObject {
	readonly name: string;
	/** Bytes. */
	readonly size: number;
}

export interface SetObject extends ListedObject {
	/** An OpenPGP message. */
	readonly encrypted: boolean;
	/** A gzip file. */
	readonly compressed: boolean;
}

export interface SetVolume extends SetObject {
	/** From 1. */
	readonly number: number;
}

export interface BackupSet extends SetName {
	/** Ascending by number. */
	readonly volumes: readonly SetVolume[];
	readonly manifest: SetObject | null;
	readonly sigtar: SetObject | null;
	readonly segment: SetObject | null;
	/** Statistics; not needed for anything, and gone when the set goes. */
	readonly jsonstat: SetObject | null;
	/** Its manifest is there: the set was committed. */
	readonly complete: boolean;
}

export interface Collection {
	/** Ascending by end time. */
	readonly chains: readonly Chain[];
	/** The chain that ends last; null in an empty collection. */
	readonly newest: Chain | null;
	/** Sets without a manifest: an interrupted run, or a manifest that was lost. Ascending in time. */
	readonly incomplete: readonly BackupSet[];
	/** Complete increments that no chain leads to, or that a later one replaced. Ascending in time. */
	readonly orphaned: readonly OrphanedSet[];
	/** Second objects of the same part of a set, not used; stock refuses the collection because of them. */
	readonly duplicates: readonly string[];
	/** Objects of sets that were encrypted by gpgsm (`.p7m`), which nothing here opens; not in any set. */
	readonly unsupported: readonly string[];
	/** How many objects are neither duplicity's nor tsdup's. */
	readonly foreign: number;
}

export interface Chain {
	/** The full and its increments, ascending in time; never empty. */
	readonly sets: readonly BackupSet[];
	/** Time of the full, seconds. */
	readonly start: number;
	/** Time of the last set, seconds. */
	readonly end: number;
}

export interface OrphanedSet extends BackupSet {
	/** A later increment took its place in a chain: duplicity neither uses nor cleans it. */
	readonly replaced: boolean;
	/** A clause for messages: `the set of 20231114T221320Z, which it builds on, is not on the target`. */
	readonly reason: string;
}
