/** What the index knows of an entry as the file system tells it. */
import { ROOT_NODE, type StatEntry } from '../index/entry.js';
import type { Names } from '../snapshots/snapshots.js';
import type { Attributes, DirectoryEntry } from './driver.js';

/** What a listing tells of an entry. @param base as of `attributes` */
export function listed(
	name: Buffer,
	offset: number,
	base: number,
	entry: StatEntry,
	names: Names,
	hasXattrs: boolean,
): DirectoryEntry {
	const { type, size } = entry;
	const known = size === null ? null : attributes(base, entry, size, names, hasXattrs);
	return { name, ino: base + names.first, offset, type, attributes: known };
}

/** The root has no other name. */
export const ONE: Names = { names: 1, first: ROOT_NODE };

/** @param base added to a node's number to make an inode */
export function attributes(
	base: number,
	entry: StatEntry,
	size: number,
	{ names, first }: Names,
	hasXattrs: boolean,
): Attributes {
	const { type, uid, gid, mtime, devMajor, devMinor } = entry;
	// A backup doesn't record a symlink's mode; Linux shows all of them as 0777.
	const mode = type === 'symlink' ? 0o777 : entry.mode;
	return {
		// All names of a file have one inode.
		ino: base + first,
		type,
		mode,
		// 1 for directories: subdirectories are not counted, and `find` takes 1 as just that.
		nlink: names,
		uid,
		gid,
		size,
		allocated: entry.allocated ?? size,
		mtime,
		mtimeNs: entry.mtimeNs ?? 0,
		devMajor,
		devMinor,
		hasXattrs,
	};
}
