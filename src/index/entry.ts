/** One path in a snapshot, as the index knows it. */
import type { Extras } from '../volume/extras.js';
import type { Extent } from './extents.js';

export type EntryType = 'file' | 'dir' | 'symlink' | 'fifo' | 'chardev' | 'blockdev';

/** What a tar header says of an entry, besides its size: a sigtar's header does not say that. */
export interface Header extends Extras {
	readonly type: EntryType;
	/** Permission bits, 0 to 0o7777. */
	readonly mode: number;
	readonly uid: number;
	readonly gid: number;
	/** Names of owner and group where the backup was made; empty when they had none. */
	readonly uname: Buffer;
	readonly gname: Buffer;
	/** Seconds. */
	readonly mtime: number;
	/** A symlink's target. */
	readonly link: Buffer | null;
	readonly devMajor: number;
	readonly devMinor: number;
}

export interface Metadata extends Header {
	/** Bytes; of a symlink, of its target. */
	readonly size: number;
}

export interface Entry extends Header {
	readonly node: number;
	/** As in Metadata; null when no volume that holds the file was read yet. */
	readonly size: number | null;
	/** Last component of the path; empty for the root. */
	readonly name: Buffer;
	/** What told this state of it in the source from others: see stamps.ts; null: not known. */
	readonly stamp: number | null;
}

/** An entry as stat(2) tells of it. */
export type StatEntry = Omit<Entry, 'uname' | 'gname' | 'link' | 'stamp' | 'xattrs'>;

/** An entry of a listing. */
export interface ListedEntry extends StatEntry {
	readonly hasXattrs: boolean;
}

/** An entry as a backup compares it with the source: names of owners are not compared. */
export type FormerEntry = Omit<Entry, 'uname' | 'gname'>;

/** Where an rsync signature lies in a sigtar. */
export interface SignatureRef {
	readonly volume: number;
	readonly offset: number;
	readonly length: number;
}

/** A snapshot: the source tree as it was at a set's time. */
export interface SnapshotSet {
	readonly id: number;
	readonly kind: 'full' | 'inc';
	/** Seconds. */
	readonly time: number;
	readonly start: number | null;
	readonly chain: number;
}

export const ROOT_NODE = 1;

/** Sets of a collection that an index holds at most: their ids are as many bits of an inode number. */
export const MOST_SETS = 2 ** 14 - 1;

/** `last` of a version that its chain's newest set still shows. */
export const STILL_SHOWN = Number.MAX_SAFE_INTEGER;

/** What is known of an entry's content. */
export interface Body {
	/** null: not known yet. */
	readonly size: number | null;
	/** Where the content lies; null: not known yet. */
	readonly extents: readonly Extent[] | null;
	/** Where the delta lies that makes the content out of the version before. */
	readonly delta: readonly Extent[] | null;
}
