/**
 * What belongs to no backup that can be shown: left by runs and purges that were interrupted, or made useless by a loss.
 * Pure. duplicity's rules, but for one: a set of which only the manifest is lost can still be shown here, so it stays,
 * with the increments upon it.
 */
import type { BackupSet, Chain, Collection } from '../collection/backup-set.js';
import { setKey } from '../collection/names.js';

export interface LeftOver {
	readonly set: BackupSet;
	/** A clause for messages: why nothing needs it. */
	readonly reason: string;
}

export interface LeftOvers {
	/** Newest first. */
	readonly sets: readonly LeftOver[];
	/** Sets of which only the manifest is lost. */
	readonly mended: readonly BackupSet[];
}

/** @param chains that can be shown */
export function leftOvers({ incomplete, orphaned }: Collection, chains: readonly Chain[]): LeftOvers {
	const shown = new Set(chains.flatMap(({ sets }) => sets).map(setKey));
	const sets = [
		...incomplete.map((set) => ({ set, reason: whyIncomplete(set) })),
		// A set whose place another took is none of duplicity's orphans as long as its chain is there.
		...orphaned.filter(({ replaced }) => !replaced).map((set) => ({ set, reason: set.reason })),
	].filter(({ set }) => !shown.has(setKey(set)));
	return {
		sets: sets.sort((a, b) => b.set.time - a.set.time),
		mended: incomplete.filter((set) => shown.has(setKey(set))),
	};
}

/** Why a set without a manifest is none, as a clause for messages. */
export function whyIncomplete(set: BackupSet): string {
	if (set.volumes.length > 0) return 'it has no manifest: a run was interrupted, or still goes on';
	return set.sigtar ? 'only its signatures are left' : 'nothing of it is left but what lay beside it';
}

/** What duplicity leaves of a set of tsdup's that it deletes. It comes last when a set is made, so it is never of one that just grows. */
export function isLoneSegment({ manifest, volumes, sigtar, segment }: BackupSet): boolean {
	return segment !== null && !manifest && !sigtar && volumes.length === 0;
}
