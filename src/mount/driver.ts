/**
 * The line between a tree and the FUSE library that shows it. The tree implements `FileSystem`, a library
 * is wrapped as a `Driver`; neither knows the other. Shaped after FUSE's low-level protocol (inodes,
 * listings with attributes), which path-based libraries can be put upon but not the other way round.
 */
import type { constants } from 'node:os';

/** The inode of a file system's root directory, as FUSE fixes it. */
export const ROOT_INO = 1;

/** What stat(2) tells of an entry. */
export interface Attributes {
	/** Unique in the file system, the same in every mount of it; up to 2^53 - 1. */
	ino: number;
	type: 'file' | 'dir' | 'symlink' | 'fifo' | 'chardev' | 'blockdev';
	/** Permission, set-id and sticky bits, 0 to 0o7777. */
	mode: number;
	nlink: number;
	uid: number;
	gid: number;
	/** Bytes; of a symlink the length of its target. */
	size: number;
	/** Seconds since 1970. */
	mtime: number;
	/** Nanoseconds from there, 0 to 999999999. */
	mtimeNs: number;
	/** Bytes on disk: of a file with holes fewer than its size. */
	allocated: number;
	/** Whether there are extended attributes or ACLs. */
	hasXattrs: boolean;
	/** Of devices; 0 for all else. */
	devMajor: number;
	devMinor: number;
}

export interface DirectoryEntry {
	name: Buffer;
	ino: number;
	/** Where a listing goes on behind it: from 1 to 2^53 - 1, in its directory of this entry alone, and always the same. */
	offset: number;
	type: Attributes['type'];
	/** null when finding them out would cost more than a listing may: whoever wants them asks `getattr`. */
	attributes: Attributes | null;
}

/** Entries of a directory, one behind the other in its order: a long listing is made in parts. */
export interface Part {
	readonly entries: readonly DirectoryEntry[];
	/** Whether none are behind them. One that is not the last has entries. */
	readonly isLast: boolean;
}

/** A regular file that can be read. */
export interface OpenFile {
	/** From 0 to 2^31 - 1, unique while open. */
	readonly handle: number;
	/** Bytes. */
	readonly size: number;
}

/**
 * A read-only tree. Every method may throw `Errno`; any other error becomes EIO and is logged.
 *
 * What an inode is never changes, and no inode number is given twice while mounted: page caches outlive a look at the name. In
 * directories that are not fixed names come, go, or are given to other inodes.
 */
export interface FileSystem {
	/** Whether neither the inode's attributes nor, in a directory, its names ever change, so that they need not be asked for again. */
	isFixed(ino: number): boolean;
	/** Whether there are extended attributes at all: else a driver may tell the kernel never to ask for any. */
	hasXattrs(): boolean;
	getattr(ino: number): Promise<Attributes>;
	lookup(parent: number, name: Buffer): Promise<Attributes>;
	/** Entries, but for `.` and `..`, behind the one of the offset `after`; 0 is before all. As many as are found within milliseconds. */
	readdir(ino: number, after: number): Promise<Part>;
	readlink(ino: number): Promise<Buffer>;
	/** Names of the extended attributes; ACLs are among them, as in listxattr(2). */
	listxattr(ino: number): Promise<Buffer[]>;
	/** @throws Errno ENODATA when there is none of this name */
	getxattr(ino: number, name: Buffer): Promise<Buffer>;
	open(ino: number): Promise<OpenFile>;
	/** `length` bytes from `offset`, in pieces that nobody may change; fewer only where the file ends. */
	read(handle: number, offset: number, length: number): Promise<Buffer[]>;
	release(handle: number): Promise<void>;
	/**
	 * Files in a directory, from `ino` on in the order of its listing, whole: as many as fit into `limit` bytes, of those that can
	 * be had without much ado. For drivers that can give them to the kernel before somebody asks.
	 */
	following(ino: number, limit: number): Promise<{ ino: number; bytes: Buffer }[]>;
	/** Must answer from memory: `df` and file managers call it at any moment. Sizes in blocks of `blockSize` bytes. */
	statfs(): Promise<{ blockSize: number; blocks: number; files: number }>;
}

/** An error of the system, by its name in errno(3). */
export class Errno extends Error {
	readonly code: keyof typeof constants.errno;

	constructor(code: keyof typeof constants.errno, message: string = code, options?: { cause?: unknown }) {
		super(message, options);
		this.name = 'Errno';
		this.code = code;
	}
}

export interface MountOptions {
	/** Let other users in; the permission bits still hold for them. */
	allowOther: boolean;
	/** Show every entry as owned by this user. */
	uid?: number;
	/** Show every entry as owned by this group. */
	gid?: number;
	/** Show every entry with the permission bits that are not in here, as mount(8) has it. */
	umask?: number;
	/** Let no programs be run from it. */
	noExec?: boolean;
	/** What the mount table shows as the source. */
	fsname: string;
}

export interface Mounted {
	/** Fulfilled when the kernel has let go of the file system, whoever unmounted it. */
	unmounted: Promise<void>;
	/** Has the kernel forget names in a folder that is not fixed. Where a driver cannot, that takes some seconds. */
	forget(folder: number, names: readonly string[]): void;
	/** Unmounts and waits for that; throws `TsdupError` if it is in use. */
	unmount(): Promise<void>;
}

/** Libraries that a mount can be made with, as users choose them; the first one is the default. */
export const DRIVER_NAMES = ['fuse3', 'fuse-native'] as const;
export type DriverName = (typeof DRIVER_NAMES)[number];

export interface Driver {
	/** Whether a directory's name can be given to another directory. */
	readonly givesNamesAgain: boolean;
	/** Fulfilled when the tree can be listed. `mountpoint` is absolute and came through `prepareMountpoint`. */
	mount(mountpoint: string, fs: FileSystem, options: MountOptions): Promise<Mounted>;
}
