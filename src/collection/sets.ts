/**
 * From a listing of a target to backup sets and chains, by duplicity's rules. Pure; nothing is fetched, so a
 * complete set is one whose manifest is there: whether its volumes are is for the manifest's reader to see.
 */
import { type ParsedName, parseName, type SetName } from './names.js';

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
	/** Its manifest is there: the set was committed. */
	readonly complete: boolean;
}

export interface Chain {
	/** The full and its increments, ascending in time; never empty. */
	readonly sets: readonly BackupSet[];
	/** Time of the full, seconds. */
	readonly start: number;
	/** Time of the last set, seconds. */
	readonly end: number;
}

export interface Collection {
	/** Ascending by end time. */
	readonly chains: readonly Chain[];
	/** The chain that ends last; null in an empty collection. */
	readonly newest: Chain | null;
	/** Sets without a manifest: an interrupted run, or a manifest that was lost. Ascending in time. */
	readonly incomplete: readonly BackupSet[];
	/** Complete increments that no chain leads to, or that a later one replaced. Ascending in time. */
	readonly orphaned: readonly BackupSet[];
	/** Second objects of the same part of a set, not used; stock refuses the collection because of them. */
	readonly duplicates: readonly string[];
	/** How many objects are neither duplicity's nor tsdup's. */
	readonly foreign: number;
}

interface Draft extends SetName {
	readonly volumes: Map<number, SetObject>;
	manifest: SetObject | null;
	sigtar: SetObject | null;
	segment: SetObject | null;
}

/** Sorts a target's objects into sets and the sets into chains. */
export function collect(objects: Iterable<ListedObject>): Collection {
	const drafts = new Map<string, Draft>();
	const duplicates: string[] = [];
	let foreign = 0;
	for (const { name, size } of objects) {
		const parsed = parseName(name);
		if (parsed === null) {
			foreign++;
			continue;
		}
		const key = `${parsed.kind} ${parsed.start} ${parsed.time}`;
		const draft = drafts.get(key) ?? emptyDraft(parsed);
		drafts.set(key, draft);
		const duplicate = place(draft, parsed, size);
		if (duplicate !== null) duplicates.push(duplicate);
	}
	const sets = [...drafts.values()]
		.map(finish)
		.sort((a, b) => a.time - b.time || (a.start ?? 0) - (b.start ?? 0));
	const complete = sets.filter((set) => set.complete);
	const { chains, orphaned } = link(complete);
	return {
		chains,
		newest: chains.at(-1) ?? null,
		incomplete: sets.filter((set) => !set.complete),
		orphaned,
		duplicates: duplicates.sort(),
		foreign,
	};
}

function emptyDraft({ kind, start, time }: ParsedName): Draft {
	return { kind, start, time, volumes: new Map(), manifest: null, sigtar: null, segment: null };
}

/** @returns the name of the object that lost, when the part was there already */
function place(
	draft: Draft,
	{ part, volume, name, encrypted, compressed }: ParsedName,
	size: number,
): string | null {
	const present = part === 'volume' ? (draft.volumes.get(volume as number) ?? null) : draft[part];
	const object: SetObject = { name, size, encrypted, compressed };
	// The encrypted one wins: whoever can write to the target must not be able to replace it by a plain one.
	const rank = (o: SetObject) => (o.encrypted ? 2 : o.compressed ? 1 : 0);
	if (present !== null && rank(present) >= rank(object)) return name;
	if (part === 'volume') draft.volumes.set(volume as number, object);
	else draft[part] = object;
	return present?.name ?? null;
}

function finish(draft: Draft): BackupSet {
	const volumes = [...draft.volumes].map(([number, object]) => ({ number, ...object }));
	volumes.sort((a, b) => a.number - b.number);
	return { ...draft, volumes, complete: draft.manifest !== null };
}

/**
 * A full opens a chain. An increment belongs to the chain that ends at its start; one that starts where a
 * chain's last increment starts replaces it (left by a resumed run).
 * @param sets complete, ascending in time
 */
function link(sets: readonly BackupSet[]): { chains: Chain[]; orphaned: BackupSet[] } {
	const chains: BackupSet[][] = [];
	const orphaned: BackupSet[] = [];
	for (const set of sets) {
		if (set.kind === 'full') {
			chains.push([set]);
			continue;
		}
		// Newest first: where two chains end at the same time, the younger full is the better ground.
		const taker = chains.findLast((chain) => {
			const last = chain.at(-1) as BackupSet;
			return (
				set.time > last.time && (last.time === set.start || (last.kind === 'inc' && last.start === set.start))
			);
		});
		if (taker === undefined) orphaned.push(set);
		else {
			if (taker.at(-1)?.time !== set.start) orphaned.push(taker.pop() as BackupSet);
			taker.push(set);
		}
	}
	return {
		chains: chains
			.map((chain) => ({
				sets: chain,
				start: (chain[0] as BackupSet).time,
				end: (chain.at(-1) as BackupSet).time,
			}))
			.sort((a, b) => a.end - b.end),
		orphaned: orphaned.sort((a, b) => a.time - b.time),
	};
}
