/**
 * From a listing of a target to backup sets and chains, by duplicity's rules. Pure; nothing is fetched, so a
 * complete set is one whose manifest is there: whether its volumes are is for the manifest's reader to see.
 * Objects of one set may differ in their protection.
 */
import { type NameForms, standardForms } from '../profile/name-forms.js';
import type { BackupSet, Collection, ListedObject, SetObject } from './backup-set.js';
import { byTime, link } from './chains.js';
import { type ParsedName, parseName, type SetName, setKey } from './names.js';

interface Draft extends SetName {
	readonly volumes: Map<number, SetObject>;
	manifest: SetObject | null;
	sigtar: SetObject | null;
	segment: SetObject | null;
	jsonstat: SetObject | null;
}

/**
 * Sorts a target's objects into sets and the sets into chains.
 * @param forms of the names; those of another form are foreign
 */
export function collect(objects: Iterable<ListedObject>, forms: NameForms = standardForms): Collection {
	const drafts = new Map<string, Draft>();
	const duplicates: string[] = [];
	const unsupported: string[] = [];
	let foreign = 0;
	for (const { name, size } of objects) {
		const parsed = parseName(name, forms);
		if (parsed === null) {
			foreign++;
			continue;
		}
		if (parsed.gpgsm) {
			unsupported.push(name);
			continue;
		}
		const key = setKey(parsed);
		const draft = drafts.get(key) ?? emptyDraft(parsed);
		drafts.set(key, draft);
		const duplicate = place(draft, parsed, size);
		if (duplicate !== null) duplicates.push(duplicate);
	}
	const sets = [...drafts.values()].map(finish).sort(byTime);
	const { chains, orphaned } = link(
		sets.filter((set) => set.complete),
		sets,
	);
	return {
		chains,
		newest: chains.at(-1) ?? null,
		incomplete: sets.filter((set) => !set.complete),
		orphaned,
		duplicates: duplicates.sort(),
		unsupported: unsupported.sort(),
		foreign,
	};
}

function emptyDraft({ kind, start, time }: ParsedName): Draft {
	return {
		kind,
		start,
		time,
		volumes: new Map(),
		manifest: null,
		sigtar: null,
		segment: null,
		jsonstat: null,
	};
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
	if (present !== null) {
		// Whatever the order of the listing: of two forms of one name the standard one sorts last.
		const better = rank(object) - rank(present) || (name > present.name ? 1 : -1);
		if (better < 0) return name;
	}
	if (part === 'volume') draft.volumes.set(volume as number, object);
	else draft[part] = object;
	return present?.name ?? null;
}

function finish(draft: Draft): BackupSet {
	const volumes = [...draft.volumes].map(([number, object]) => ({ number, ...object }));
	volumes.sort((a, b) => a.number - b.number);
	return { ...draft, volumes, complete: draft.manifest !== null };
}
