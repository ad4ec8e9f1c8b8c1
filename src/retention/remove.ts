/**
 * Removes sets, so that whatever is left when it is interrupted is whole: manifests first, which are what makes sets, then
 * signatures, without which nobody takes a set for one that only lost its manifest, then the rest.
 */
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import type { BackupSet, Collection, ListedObject } from '../collection/backup-set.js';
import { type Part, parseName, segmentName, setKey } from '../collection/names.js';
import { forgetAllBut } from '../index/forget.js';
import type { Index } from '../index/index.js';
import { beginRemoval, dropRun, endRun, openRuns } from '../index/runs.js';
import { forgetVerified } from '../index/verified.js';
import type { NameForms } from '../profile/name-forms.js';
import { FolderTarget } from '../target/file.js';
import type { Target } from '../target/target.js';

export interface Removal {
	readonly set: BackupSet;
	/** Every object of the set, also of parts that are there twice. */
	readonly objects: readonly ListedObject[];
	/** A clause for messages; null: it is outdated. */
	readonly reason: string | null;
}

/** Each is gone before the next begins. */
const PHASES: readonly (readonly Part[])[] = [['manifest'], ['sigtar'], ['volume', 'jsonstat', 'segment']];

/** @param removals newest first, so that at any moment what is left of a chain is its beginning. @throws TargetError */
export async function remove(
	removals: readonly Removal[],
	{ index, target, nameForms }: { index: Index; target: Target; nameForms: NameForms },
): Promise<void> {
	if (removals.length === 0) return;
	beginRemoval(
		index,
		removals.map(({ set }) => set),
	);
	const objects = removals.flatMap((removal) => removal.objects);
	for (const parts of PHASES) {
		const isOfPhase = ({ name }: ListedObject) => parts.includes(parseName(name, nameForms)?.part as Part);
		const names = objects.filter(isOfPhase).map(({ name }) => name);
		if (names.length > 0) await target.delete(names);
	}
	index.db.transaction(() => {
		for (const { name } of objects) forgetVerified(index, name);
	})();
	const gone = new Set(removals.map(({ set }) => set.time));
	forgetAllBut(index, new Set(index.sets().flatMap(({ time }) => (gone.has(time) ? [] : [time]))));
}

/**
 * Forgets the runs that nothing is to be done about any more. A set that lacks its segment, and what is left of one, are
 * for the next backup.
 */
export async function forgetRuns(
	removals: readonly Removal[],
	{ chains, orphaned, incomplete }: Collection,
	index: Index,
	cacheDir: string,
): Promise<void> {
	const runs = openRuns(index);
	if (runs.length === 0) return;
	const left = new Map(
		[...chains.flatMap(({ sets }) => sets), ...orphaned, ...incomplete].map((set) => [setKey(set), set]),
	);
	for (const { set } of removals) left.delete(setKey(set));
	const dir = join(cacheDir, 'pending');
	mkdirSync(dir, { recursive: true, mode: 0o700 });
	const pending = new FolderTarget(dir);
	await pending.sweep();
	for (const { set, segmentReady } of runs) {
		const there = left.get(setKey(set));
		if (there && (!there.complete || (segmentReady && !there.segment))) continue;
		await pending.delete([segmentName(set, 'gpg'), segmentName(set, 'none')]);
		if (there && segmentReady) endRun(index, set);
		else dropRun(index, set);
	}
}
