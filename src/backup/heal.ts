/**
 * Makes good what a run that was killed left behind: a set without its manifest is kept as far as it can be gone on with,
 * else swept from the target; one whose segment did not get there is given it. Only this host's own runs are touched; the
 * index remembers them.
 */

import type { BackupSet, Collection } from '../collection/backup-set.js';
import { type SetName, segmentName } from '../collection/names.js';
import { dropRun, endRun, openRuns, type Run } from '../index/runs.js';
import type { ObjectKey } from '../index/set-import.js';
import { stampsName } from '../index/stamps.js';
import type { SyncOptions } from '../index/sync.js';
import { takeSegment } from '../index/take-in.js';
import { count } from '../source/words.js';
import type { Target } from '../target/target.js';
import type { Reporter } from './report.js';
import type { Resumption } from './resumption.js';

export interface Healed {
	/** Whether anything was changed on the target. */
	readonly changed: boolean;
	/** The run that is to be gone on with. */
	readonly resumption: Resumption | null;
}

/**
 * @param resume tells what of a run that was not completed can be kept; asked for the last one only
 * @throws TargetError
 */
export async function heal(
	context: SyncOptions,
	collection: Collection,
	reporter: Reporter,
	resume: (run: Run) => Promise<Resumption | null>,
): Promise<Healed> {
	const { index, target, pending } = context;
	const runs = openRuns(index);
	let resumption: Resumption | null = null;
	if (runs.length === 0) return { changed: false, resumption };
	await target.sweep();
	await pending.sweep();
	const complete = [...collection.chains.flatMap((chain) => chain.sets), ...collection.orphaned];
	const last = runs.findLast(({ journalKey }) => journalKey !== null);
	for (const run of runs) {
		const { set, segmentReady } = run;
		const committed = complete.find((candidate) => isSame(candidate, set));
		if (committed && segmentReady && !committed.segment) {
			await copy(pending, target, segmentName(set, committed.manifest?.encrypted ? 'gpg' : 'none'));
			reporter.note(
				`The run of ${date(set)} was interrupted after its backup was complete: index completed.`,
			);
		}
		const left = collection.incomplete.find((candidate) => isSame(candidate, set));
		if (left) {
			const found = run === last ? await resume(run) : null;
			resumption ??= found;
			const kept = found?.kept.volumes.map(({ stored }) => stored.name) ?? [];
			const names = objects(left).filter((name) => !kept.includes(name));
			await target.delete(names);
			reporter.note(`The run of ${date(set)} was interrupted: ${whatNow(kept.length, names.length)}.`);
		}
		if (resumption?.run === run) continue;
		if (committed && segmentReady) await finish(context, set);
		else await forget(context, set);
	}
	return { changed: true, resumption };
}

function whatNow(kept: number, removed: number): string {
	if (kept === 0) return `its remains, ${count(removed, 'object')}, were removed`;
	const rest = removed > 0 ? `; its other remains, ${count(removed, 'object')}, were removed` : '';
	return `it goes on after what is complete, ${count(kept, 'volume')}${rest}`;
}

/** In the pending folder. */
export function journalName(set: SetName): string {
	return `journal.${set.time}`;
}

/**
 * Gives a set that has just been committed its segment, on the target and in the index.
 * @throws TargetError
 */
export async function publish(context: SyncOptions, set: SetName, key: ObjectKey | null): Promise<void> {
	const name = segmentName(set, key ? 'gpg' : 'none');
	await copy(context.pending, context.target, name);
	// Not needed any more, and maybe the room that the index needs.
	await context.pending.delete([journalName(set)]);
	await takeSegment(context, set.time, context.pending, name, key);
	await finish(context, set);
}

/** A run has made its set, and nothing of it needs healing any more. */
async function finish({ index, pending }: SyncOptions, set: SetName): Promise<void> {
	await clear(pending, set);
	endRun(index, set);
}

/** A run has made no set, and nothing of it needs healing any more. */
export async function forget({ index, pending }: SyncOptions, set: SetName): Promise<void> {
	await clear(pending, set);
	dropRun(index, set);
}

async function clear(pending: Target, set: SetName): Promise<void> {
	await pending.delete([
		segmentName(set, 'gpg'),
		segmentName(set, 'none'),
		journalName(set),
		stampsName(set.time),
	]);
}

async function copy(from: Target, to: Target, name: string): Promise<void> {
	const object = to.create(name);
	try {
		for await (const chunk of from.stream(name)) await object.write(chunk);
		await object.commit();
	} catch (error) {
		await object.abort();
		throw error;
	}
}

function objects({ volumes, manifest, sigtar, segment }: BackupSet): string[] {
	return [...volumes, manifest, sigtar, segment].flatMap((object) => (object ? [object.name] : []));
}

function isSame(a: SetName, b: SetName): boolean {
	return a.kind === b.kind && a.start === b.start && a.time === b.time;
}

function date(set: SetName): string {
	return new Date(set.time * 1000).toISOString();
}
