/**
 * What differs between the source and the snapshot before: a walk of both side by side, in tuple order of paths (the
 * order of duplicity's format). Memory holds the directories on the way down only.
 */
import type { FormerEntry, Metadata, SnapshotSet } from '../index/entry.js';
import { type Index, PAGE } from '../index/index.js';
import type { Selection, SelectionEntry } from '../profile/selection.js';
import {
	childPath,
	exists,
	isTsdupMount,
	type Listed,
	listDirectory,
	readMetadata,
	type SourceMetadata,
	sourcePath,
} from './source.js';

export type Change =
	/** `previous`: the entry at this path in the snapshot before, whatever its type; null when there was none. */
	| { kind: 'stored'; path: Buffer; metadata: SourceMetadata; previous: FormerEntry | null }
	| { kind: 'deleted'; path: Buffer; previous: FormerEntry }
	/** All that it shows is as before, but its content or its extended attributes may have been changed. */
	| { kind: 'touched'; path: Buffer; metadata: SourceMetadata; previous: FormerEntry }
	/** `learned`: its stamp, which was not known; else null. */
	| { kind: 'same'; path: Buffer; previous: FormerEntry; learned: number | null };

/** What is there now, and is to be looked at. */
export type Found = Extract<Change, { kind: 'stored' | 'touched' }>;

export interface WalkSource {
	readonly root: Buffer;
	/** Whether a path relative to the root is backed up. 'scan': a directory that is if something inside is. */
	readonly selection: Pick<Selection, 'select'>;
	/** Number of the file system that the root is on. */
	readonly device: bigint;
	/** Told of what could not be read: it keeps its state in the snapshot before. */
	unreadable(path: Buffer, error: unknown): void;
	/** Told of what a backup has no place for. */
	skipped(path: Buffer): void;
}

export interface Before {
	readonly index: Index;
	readonly set: SnapshotSet;
}

/** @param before null for a full backup. @throws the system's error when the root itself cannot be read */
export function* walk(source: WalkSource, before: Before | null): Generator<Change> {
	const path = Buffer.alloc(0);
	const metadata = readMetadata(sourcePath(source.root, path));
	if (!metadata) return;
	const previous = before?.index.root(before.set) ?? null;
	yield* present(source, before, path, metadata, previous);
}

function* present(
	source: WalkSource,
	before: Before | null,
	path: Buffer,
	metadata: SourceMetadata,
	previous: FormerEntry | null,
): Generator<Change> {
	if (!previous || !isSame(previous, metadata)) yield { kind: 'stored', path, metadata, previous };
	else if (previous.stamp === metadata.stamp) yield { kind: 'same', path, previous, learned: null };
	else if (previous.stamp === null) yield { kind: 'same', path, previous, learned: metadata.stamp };
	else yield { kind: 'touched', path, metadata, previous };
	const former = before && previous?.type === 'dir' ? listFormer(before, previous.node) : NOTHING;
	if (metadata.type === 'dir') {
		yield* children(source, before, path, former[Symbol.iterator]());
	} else {
		for (const entry of former) yield* gone(before, childPath(path, entry.name), entry);
	}
}

/** A directory's entries in the snapshot before, a page at a time: there may be a million. */
function* listFormer({ index, set }: Before, directory: number): Generator<FormerEntry, void> {
	for (let after = Buffer.alloc(0); ; ) {
		const page = index.listAfter(set, directory, after);
		yield* page;
		if (page.length < PAGE) return;
		after = Buffer.from((page.at(-1) as FormerEntry).name);
	}
}

const NOTHING: Iterable<FormerEntry> = [];

/** A directory's children, now and before, merged by name. */
function* children(
	source: WalkSource,
	before: Before | null,
	parent: Buffer,
	former: Iterator<FormerEntry>,
): Generator<Change> {
	const listed = listDirectory(sourcePath(source.root, parent));
	let now: IteratorResult<Listed, void>;
	try {
		now = listed.next();
	} catch (error) {
		source.unreadable(parent, error);
		return;
	}
	let then = former.next();
	for (; !now.done; now = listed.next()) {
		const { name } = now.value;
		for (; !then.done && Buffer.compare(then.value.name, name) < 0; then = former.next()) {
			yield* gone(before, childPath(parent, then.value.name), then.value);
		}
		const previous = !then.done && then.value.name.equals(name) ? then.value : null;
		if (previous) then = former.next();
		yield* child(source, before, childPath(parent, name), now.value, previous);
	}
	for (; !then.done; then = former.next()) {
		yield* gone(before, childPath(parent, then.value.name), then.value);
	}
}

function* child(
	source: WalkSource,
	before: Before | null,
	path: Buffer,
	listed: Listed,
	previous: FormerEntry | null,
): Generator<Change> {
	let metadata: SourceMetadata | null;
	try {
		metadata = listed.metadata();
	} catch (error) {
		if ((error as NodeJS.ErrnoException).code === 'ENOENT') {
			if (previous) yield* gone(before, path, previous);
		} else {
			source.unreadable(path, error);
		}
		return;
	}
	if (!metadata) source.skipped(path);
	else if (isSelected(source, path, metadata)) {
		yield* present(source, before, path, metadata, previous);
		return;
	}
	if (previous) yield* gone(before, path, previous);
}

/** A directory that is only scanned counts when anything inside it does. */
function isSelected(source: WalkSource, path: Buffer, metadata: SourceMetadata): boolean {
	if (metadata.device !== Number(source.device) && isTsdupMount(metadata.device)) return false;
	const verdict = source.selection.select(path, facts(source, path, metadata));
	if (verdict !== 'scan') return verdict === 'include';
	try {
		for (const { name, metadata } of listDirectory(sourcePath(source.root, path))) {
			const found = metadata();
			if (found !== null && isSelected(source, childPath(path, name), found)) return true;
		}
		return false;
	} catch (error) {
		source.unreadable(path, error);
		return false;
	}
}

function facts(source: WalkSource, path: Buffer, { type, device, mtime }: SourceMetadata): SelectionEntry {
	return {
		isDirectory: type === 'dir',
		isFile: type === 'file',
		mtime,
		isDevice: type === 'chardev' || type === 'blockdev',
		onOtherFilesystem: device !== Number(source.device),
		contains: (name) => exists(sourcePath(source.root, childPath(path, name))),
	};
}

/** A path that is not there any more, and all that was below it. */
function* gone(before: Before | null, path: Buffer, entry: FormerEntry): Generator<Change> {
	yield { kind: 'deleted', path, previous: entry };
	if (before && entry.type === 'dir') {
		for (const below of listFormer(before, entry.node)) {
			yield* gone(before, childPath(path, below.name), below);
		}
	}
}

function isSame(before: FormerEntry, now: Metadata): boolean {
	return (
		before.type === now.type &&
		before.mode === now.mode &&
		before.uid === now.uid &&
		before.gid === now.gid &&
		before.mtime === now.mtime &&
		(before.mtimeNs === null || before.mtimeNs === now.mtimeNs) &&
		(before.size === null || before.size === now.size) &&
		before.devMajor === now.devMajor &&
		before.devMinor === now.devMinor &&
		// A first name that others have joined. The way back is no change: a group of one is no group.
		(now.hardLink === null || before.hardLink !== null) &&
		(now.link === null || now.link.equals(before.link ?? Buffer.alloc(0)))
	);
}
