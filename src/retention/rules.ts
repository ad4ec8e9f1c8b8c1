/**
 * Which chains are outdated, by duplicity's rules. Pure. Only whole chains go, or all increments of one, so nothing that
 * stays builds on what goes; the newest chain stays whatever the rule says.
 */
import type { BackupSet, Chain } from '../collection/backup-set.js';
import { chainOf } from '../collection/chains.js';

export type Rule =
	/** Chains that ended before this time, s. */
	| { readonly kind: 'age'; readonly before: number }
	/** Chains that ended before the newest `keep` full backups began. */
	| { readonly kind: 'fulls'; readonly keep: number }
	/** The increments of these chains. */
	| { readonly kind: 'increments'; readonly keep: number };

export interface Outdated {
	/** Newest first. */
	readonly sets: readonly BackupSet[];
	/** Older than the rule's time, but needed by newer ones in their chain. Oldest first. */
	readonly needed: readonly BackupSet[];
	/** The newest chain, when it would go if it were not the newest. */
	readonly spared: Chain | null;
}

/** @param rules in this order; each counts what those before it left */
export function outdated(chains: readonly Chain[], rules: readonly Rule[]): Outdated {
	let left = chains;
	const needed = new Set<BackupSet>();
	let spared: Chain | null = null;
	for (const rule of rules) {
		const time = rule.kind === 'age' ? rule.before : fullTime(left, rule.keep);
		const isOld = (chain: Chain) => chain.end < time;
		const newest = newestOf(left);
		spared ??=
			newest.find((chain) => isOld(chain) && (rule.kind !== 'increments' || chain.sets.length > 1)) ?? null;
		for (const { sets } of left.filter((chain) => !isOld(chain))) {
			for (const set of sets) if (set.time < time) needed.add(set);
		}
		left = left.flatMap((chain) => {
			if (!isOld(chain) || newest.includes(chain)) return [chain];
			return rule.kind === 'increments' ? [chainOf(chain.sets.slice(0, 1))] : [];
		});
	}
	const kept = new Set(left.flatMap(({ sets }) => sets));
	const sets = chains.flatMap((chain) => chain.sets.filter((set) => !kept.has(set)));
	return {
		sets: sets.sort((a, b) => b.time - a.time),
		needed: [...needed].filter((set) => kept.has(set)).sort((a, b) => a.time - b.time),
		spared,
	};
}

/**
 * When the full backup was made that is number `keep` from the newest one; before all times when there are fewer. One
 * that lost its manifest, so that duplicity cannot use it, is none of those to be kept.
 */
function fullTime(chains: readonly Chain[], keep: number): number {
	const times = chains.filter(isIntact).map(({ start }) => start);
	return times.sort((a, b) => b - a)[keep - 1] ?? Number.NEGATIVE_INFINITY;
}

/** The chain that ends last, and the one that duplicity takes for that. */
function newestOf(chains: readonly Chain[]): Chain[] {
	const ascending = [...chains].sort((a, b) => a.end - b.end);
	return [ascending.at(-1), ascending.findLast(isIntact)].filter((chain) => chain !== undefined);
}

function isIntact({ sets }: Chain): boolean {
	return sets[0]?.complete ?? false;
}
