/**
 * Compares a snapshot with the source as it is now, content included: what duplicity's `verify --compare-data` does. Whole
 * seconds count of a time, as there. Holds a directory's names and one piece of a file.
 */
import { closeSync, readSync, statSync } from 'node:fs';
import { TsdupError } from '../errors.js';
import type { FormerEntry, Metadata, SnapshotSet } from '../index/entry.js';
import type { Index } from '../index/index.js';
import type { Selection } from '../profile/selection.js';
import type { Snapshots } from '../snapshots/snapshots.js';
import { openRegular, sourcePath } from '../source/source.js';
import { walk } from '../source/walk.js';
import { reason, shown } from '../source/words.js';

/** Bytes that are compared at once: a few frames. */
const CHUNK = 4 * 2 ** 20;

export interface Source {
	/** Absolute. */
	readonly root: Buffer;
	readonly selection: Pick<Selection, 'select'>;
}

export interface ComparisonReporter {
	/** @param what each of them in words, like `mode` or `content`; `missing` and `new` stand alone */
	difference(path: Buffer, what: readonly string[]): void;
	/** The snapshot's content cannot be read. */
	lost(path: Buffer, error: TsdupError): void;
	/** The source could not be read. */
	warn(message: string): void;
	progress(path: Buffer, compared: number): void;
}

/** @returns how many paths were compared. @throws TsdupError when the source is not there; TargetError */
export async function compare(
	index: Index,
	snapshots: Snapshots,
	set: SnapshotSet,
	{ root, selection }: Source,
	reporter: ComparisonReporter,
): Promise<number> {
	const { dev: device } = statOf(root);
	const unreadable = (path: Buffer, error: unknown) =>
		reporter.warn(`${shown(path)} cannot be read: ${reason(error)}; it is not compared`);
	const source = { root, selection, device, unreadable, skipped: () => {} };
	let compared = 0;
	for (const change of walk(source, { index, set })) {
		const { path, previous } = change;
		compared++;
		reporter.progress(path, compared);
		if (change.kind === 'deleted') reporter.difference(path, ['missing']);
		else if (!previous) reporter.difference(path, ['new']);
		else {
			const what = change.kind === 'stored' ? metadataDifferences(previous, change.metadata) : [];
			const isFile = previous.type === 'file' && !what.includes('type');
			if (isFile) {
				try {
					if (!(await sameContent(snapshots, set, previous, sourcePath(root, path)))) what.push('content');
				} catch (error) {
					if (error instanceof TsdupError) reporter.lost(path, error);
					else unreadable(path, error);
				}
			}
			if (what.length > 0) reporter.difference(path, what);
		}
	}
	return compared;
}

function statOf(root: Buffer): { dev: bigint } {
	try {
		return statSync(sourcePath(root, Buffer.alloc(0)), { bigint: true });
	} catch (error) {
		throw new TsdupError(`The source ${root} cannot be read: ${reason(error)}. Nothing was compared.`, {
			cause: error,
		});
	}
}

function metadataDifferences(before: FormerEntry, now: Metadata): string[] {
	if (before.type !== now.type) return ['type'];
	const what: string[] = [];
	if (before.mode !== now.mode && now.type !== 'symlink') what.push('mode');
	if (before.uid !== now.uid || before.gid !== now.gid) what.push('owner');
	if (before.mtime !== now.mtime && now.type !== 'symlink') what.push('time');
	if (now.link && !now.link.equals(before.link ?? Buffer.alloc(0))) what.push('link');
	if (before.devMajor !== now.devMajor || before.devMinor !== now.devMinor) what.push('device');
	return what;
}

/** @throws the system's error; TsdupError when the snapshot's content cannot be had */
async function sameContent(
	snapshots: Snapshots,
	set: SnapshotSet,
	entry: FormerEntry,
	path: Buffer,
): Promise<boolean> {
	const file = openRegular(path);
	if (!file) return false;
	try {
		if (entry.size !== null && entry.size !== file.metadata.size) return false;
		const reader = await snapshots.open(set, entry);
		if (reader.size !== file.metadata.size) return false;
		const room = Buffer.allocUnsafe(Math.min(CHUNK, reader.size));
		for (let offset = 0; offset < reader.size; ) {
			const stored = await reader.read(offset, CHUNK);
			const count = readFully(file.fd, room, offset, stored.length);
			if (stored.length === 0 || !stored.equals(room.subarray(0, count))) return false;
			offset += stored.length;
		}
		return true;
	} finally {
		closeSync(file.fd);
	}
}

function readFully(fd: number, room: Buffer, offset: number, length: number): number {
	let filled = 0;
	while (filled < length) {
		const count = readSync(fd, room, filled, length - filled, offset + filled);
		if (count === 0) break;
		filled += count;
	}
	return filled;
}
