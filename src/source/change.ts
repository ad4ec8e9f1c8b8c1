/** How an entry of the source differs from what was at its path in the snapshot before. */
import type { FormerEntry, Metadata } from '../index/entry.js';
import type { SourceMetadata } from './source.js';

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

/** A directory is through: all that is directly in it has been told of, but for what is as before. */
export interface FolderEnd {
	readonly kind: 'folder';
	readonly path: Buffer;
	/** null: none can stand for it, because something in it has to be looked at in every run. */
	readonly digest: Buffer | null;
	/** Selected entries directly in it that are no directories. */
	readonly files: number;
	/** Entries that are as before and have not been told of: these files, and maybe the directory itself. */
	readonly untold: number;
}

/** @param previous the entry at this path in the snapshot before; null: none */
export function changeOf(path: Buffer, metadata: SourceMetadata, previous: FormerEntry | null): Change {
	if (!previous || !isSame(previous, metadata)) return { kind: 'stored', path, metadata, previous };
	if (previous.stamp === metadata.stamp) return { kind: 'same', path, previous, learned: null };
	if (previous.stamp === null) return { kind: 'same', path, previous, learned: metadata.stamp };
	return { kind: 'touched', path, metadata, previous };
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
