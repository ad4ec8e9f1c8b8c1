/**
 * From sets to chains, by duplicity's rules, and why a set is in none. Pure. An increment names only the time of
 * the set it builds on, so a chain ends where that set is gone: purged, lost, or without its manifest.
 */
import type { BackupSet, Chain, Collection, OrphanedSet } from './backup-set.js';
import { formatSetTime } from './times.js';

export interface Linked {
	/** Ascending by end time. */
	readonly chains: readonly Chain[];
	/** Ascending in time. */
	readonly orphaned: readonly OrphanedSet[];
}

/**
 * A full opens a chain. An increment belongs to the chain that ends at its start; one that starts where a
 * chain's last increment starts replaces it (left by a resumed run), but one without a manifest never does.
 * @param sets to link, ascending in time
 * @param all sets there are, which tell why others are orphaned
 */
export function link(sets: readonly BackupSet[], all: readonly BackupSet[]): Linked {
	const chains: BackupSet[][] = [];
	const replaced = new Map<BackupSet, BackupSet>();
	const homeless: BackupSet[] = [];
	for (const set of sets) {
		if (set.kind === 'full') {
			chains.push([set]);
			continue;
		}
		// Newest first: where two chains end at the same time, the younger full is the better ground.
		const taker = chains.findLast((chain) => follows(set, chain.at(-1) as BackupSet));
		if (taker === undefined) homeless.push(set);
		else {
			if (taker.at(-1)?.time !== set.start) replaced.set(taker.pop() as BackupSet, set);
			taker.push(set);
		}
	}
	const orphans = new Map(homeless.map((set) => [set, '']));
	for (const [set, by] of replaced) {
		orphans.set(set, `the increment of ${formatSetTime(by.time)} replaced it, as after an interrupted run`);
	}
	for (const set of homeless) orphans.set(set, whyHomeless(set, all, orphans));
	return {
		chains: chains.map(chainOf).sort((a, b) => a.end - b.end),
		orphaned: [...orphans]
			.map(([set, reason]) => ({ ...set, reason, replaced: replaced.has(set) }))
			.sort(byTime),
	};
}

/** @param sets a full and its increments, ascending in time */
export function chainOf(sets: readonly BackupSet[]): Chain {
	return { sets, start: (sets[0] as BackupSet).time, end: (sets.at(-1) as BackupSet).time };
}

/**
 * The chains as they are when sets of which only the manifest is lost take their places again. A sigtar is stored
 * after the last volume, so a set that has one was stored whole; without it, an interrupted run cannot be told from
 * a loss, and the set stays out.
 * @param may whether a set without its manifest may take its place
 */
export function mend(collection: Collection, may: (set: BackupSet) => boolean = () => true): Linked {
	const { chains, orphaned, incomplete } = collection;
	const complete = [...chains.flatMap((chain) => chain.sets), ...orphaned];
	const all = [...complete, ...incomplete].sort(byTime);
	return link(
		all.filter((set) => set.complete || (lacksOnlyManifest(set) && may(set))),
		all,
	);
}

/** The order that `link` needs. */
export function byTime(a: BackupSet, b: BackupSet): number {
	return a.time - b.time || (a.start ?? 0) - (b.start ?? 0);
}

function lacksOnlyManifest({ volumes, manifest, sigtar }: BackupSet): boolean {
	const gapless = volumes.every(({ number }, i) => number === i + 1);
	return manifest === null && sigtar !== null && volumes.length > 0 && gapless;
}

function follows(set: BackupSet, last: BackupSet): boolean {
	if (set.time <= last.time) return false;
	const replaces = last.kind === 'inc' && last.start === set.start && (set.complete || !last.complete);
	return last.time === set.start || replaces;
}

function whyHomeless(
	set: BackupSet,
	all: readonly BackupSet[],
	orphans: ReadonlyMap<BackupSet, string>,
): string {
	const start = set.start as number;
	if (start >= set.time) return 'it claims to build on a set that is not older';
	const base = `the set of ${formatSetTime(start)}, which it builds on,`;
	const there = all.filter(({ time }) => time === start);
	if (there.length === 0) return `${base} is not on the target`;
	if (there.some((found) => found.complete && !orphans.has(found))) {
		return `another increment follows the set of ${formatSetTime(start)}`;
	}
	return there.some((found) => orphans.has(found)) ? `${base} is orphaned, too` : `${base} has no manifest`;
}
