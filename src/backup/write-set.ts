/** Writes one set: all that the walk finds, then the commit; takes it back, or leaves what can be gone on with, when it fails. */
import type { SetName } from '../collection/names.js';
import type { Content } from '../content/content.js';
import { LockError, TargetError } from '../errors.js';
import { FolderRecorder, forgetFolders } from '../index/folders.js';
import type { Index } from '../index/index.js';
import { segmentReady } from '../index/runs.js';
import type { ObjectKey } from '../index/set-import.js';
import { isFull } from '../index/sqlite.js';
import { StampLearner } from '../index/stamps.js';
import type { SyncOptions } from '../index/sync.js';
import { once } from '../once.js';
import { lowerOtherThreads } from '../posix/calls.js';
import type { Change } from '../source/change.js';
import type { Before } from '../source/former.js';
import { count } from '../source/words.js';
import { changes } from './changes.js';
import type { Checkpoints } from './checkpoints.js';
import { forget, publish } from './heal.js';
import type { BackupOptions } from './options.js';
import { readAhead } from './read-ahead.js';
import type { BackupReport, Counts, Progress } from './report.js';
import type { Resumption } from './resumption.js';
import { SetWriter } from './set-writer.js';
import { Store } from './store.js';

/** Milliseconds. */
const PROGRESS_INTERVAL = 100;

export interface Work {
	readonly options: BackupOptions;
	readonly context: SyncOptions;
	/** Reads the signatures of the snapshot before. */
	readonly content: Content;
	/** Filled on the way. */
	readonly counts: Counts;
	readonly set: SetName;
	/** null in a full backup. */
	readonly before: Before | null;
	readonly checkpoints: Checkpoints;
	/** The run that is gone on with; null: none. */
	readonly resumption: Resumption | null;
}

/** @throws what `backup` throws */
export async function writeSet(work: Work): Promise<BackupReport> {
	const { options, context, content, counts, set, before, checkpoints, resumption } = work;
	const { source, target, encryptor, volumeSize, reporter } = options;
	const { index, pending } = context;
	lowerOtherThreads();
	const chain = before?.set.chain ?? set.time;
	const kept = resumption?.kept ?? null;
	forgetFolders(index, set.time);
	// What an interrupted run has stored was not seen by this walk.
	const folders = resumption ? null : new FolderRecorder(index, set.time, before?.set.time ?? null);
	let key: ObjectKey | null = null;
	const writer = new SetWriter({
		...{ target, pending, encryptor, set, chain, source, volumeSize, checkpoints, kept },
	});
	const learner = before && new StampLearner(before.index, before.set);
	const store = new Store({
		source,
		writer,
		before,
		learner,
		content,
		reporter,
		counts,
		folders,
		pieces: kept?.pieces ?? [],
	});
	const expected = once(() => expectedOf(index));
	let path: Buffer = Buffer.alloc(0);
	// By the clock: one large file may take hours.
	const ticking = setInterval(() => {
		counts.bytesStored = writer.difftar.storedBytes;
		reporter.progress({ path, full: set.kind === 'full', ...counts, expected });
	}, PROGRESS_INTERVAL);
	try {
		const isKept = (change: Change) => resumption?.holds(change.path) ?? false;
		for await (const group of readAhead(changes(options, counts, before, folders !== null), source, isKept)) {
			store.begin(group);
			for (const { change, read } of group) {
				// A folder's end is behind all that is in it, and no place to be shown when that was told of.
				if (change.kind !== 'folder' || change.untold > 0) path = change.path;
				if (change.kind === 'folder') {
					counts.entries += change.untold;
					folders?.add(change.path, change.digest, change.files);
				} else if (!(await resumption?.covers(change, writer, counts))) await store.store(change, read);
			}
		}
		await resumption?.finish(writer, counts);
		learner?.flush();
		folders?.flush();
		key = await writer.complete();
		segmentReady(index, set, key);
	} catch (error) {
		await writer.abort();
		checkpoints.close();
		await leave(work, writer, checkpoints.usable && error instanceof TargetError);
		throw error;
	} finally {
		clearInterval(ticking);
	}
	checkpoints.close();
	counts.bytesStored = writer.difftar.storedBytes;
	counts.volumes = writer.difftar.stored.length;
	await writer.commit().catch(async (error) => {
		// The set is that of another run, and none of this one's business.
		if (error instanceof LockError) await forget(context, set);
		throw error;
	});
	// The set exists. What fails from here on is made good by the next run.
	try {
		await publish(context, set, key);
	} catch (error) {
		if (!isFull(error)) throw error;
		reporter.warn(
			'The backup is complete, but the disk that the cache is on is full: the index takes it in once there is room.',
		);
	}
	return { set, ...counts };
}

/** What the source is likely to have: as much as the newest snapshot. */
function expectedOf(index: Index): ReturnType<Progress['expected']> {
	const newest = index.sets().at(-1);
	if (!newest) return null;
	const { files, bytes } = index.totals(newest);
	return { entries: files, bytes };
}

/**
 * Before its commit a run failed. Where the target, or the way to it, was the reason, what is complete is kept for the
 * next run; else it is taken back. Where that fails too, the next run does it.
 */
async function leave({ options, context, set }: Work, writer: SetWriter, keep: boolean): Promise<void> {
	const { target, reporter } = options;
	const { length } = writer.difftar.stored;
	if (keep && length > 0) {
		reporter.note(
			`What is complete, ${count(length, 'volume')}, stays on the target: the next run goes on after it.`,
		);
		return;
	}
	try {
		await target.delete(writer.names());
		await forget(context, set);
	} catch {
		reporter.note('Volumes of this run are left on the target; the next run removes them.');
	}
}
