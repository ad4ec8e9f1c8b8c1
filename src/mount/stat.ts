/** `Attributes` and listings in the numbers that fuse-native hands to C; called by its driver only. */
import type { Stat } from 'fuse-native';
import type { Attributes } from './driver.js';

export const S_IFMT: Record<Attributes['type'], number> = {
	fifo: 0o010000,
	chardev: 0o020000,
	dir: 0o040000,
	blockdev: 0o060000,
	file: 0o100000,
	symlink: 0o120000,
};

/** Bytes that programs are told to read at once: the most that one FUSE request carries without max_pages. */
const PREFERRED_READ = 131_072;

/**
 * The stat of `attributes`. There is no inode in it: fuse-native carries 32 bits of it, and inodes cut to
 * 32 bits would make strangers look like hard links of each other; libfuse numbers the nodes instead.
 */
export function toStat(attributes: Attributes): Stat {
	// fuse-native carries unsigned milliseconds: there is nothing before 1970.
	const time = Math.max(0, attributes.mtime * 1000 + Math.floor(attributes.mtimeNs / 1e6));
	return {
		mode: S_IFMT[attributes.type] | attributes.mode,
		nlink: attributes.nlink,
		uid: attributes.uid,
		gid: attributes.gid,
		rdev: encodeDevice(attributes.devMajor, attributes.devMinor),
		size: attributes.size,
		blksize: PREFERRED_READ,
		blocks: Math.ceil(attributes.allocated / 512),
		atime: time,
		mtime: time,
		ctime: time,
	};
}

/** The kernel's new_encode_dev: 12 bits of major, 20 of minor. */
export function encodeDevice(major: number, minor: number): number {
	return ((minor & 0xff) | ((major & 0xfff) << 8) | ((minor & 0xfff00) << 12)) >>> 0;
}

/** For each type the `struct stat` of a listing, of which libfuse reads only the type; shared by all entries. */
export const LISTED: Record<Attributes['type'], Uint32Array> = {
	fifo: listed('fifo'),
	chardev: listed('chardev'),
	dir: listed('dir'),
	blockdev: listed('blockdev'),
	file: listed('file'),
	symlink: listed('symlink'),
};

function listed(type: Attributes['type']): Uint32Array {
	const stat = new Uint32Array(18);
	stat[0] = S_IFMT[type];
	return stat;
}
