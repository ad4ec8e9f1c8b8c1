/**
 * The source tree as the system shows it: names, metadata and content, names always as bytes.
 */
import { execFileSync } from 'node:child_process';
import {
	type BigIntStats,
	closeSync,
	constants,
	fstatSync,
	lstatSync,
	openSync,
	readdirSync,
	readlinkSync,
} from 'node:fs';
import type { EntryType, Metadata } from '../index/entry.js';

const NONE = Buffer.alloc(0);

/** `root` (without a slash at its end) joined with a path relative to it. A root that is a symlink is followed. */
export function sourcePath(root: Buffer, path: Buffer): Buffer {
	return Buffer.concat([root, SLASH, path.length === 0 ? DOT : path]);
}

export function childPath(parent: Buffer, name: Buffer): Buffer {
	return parent.length === 0 ? name : Buffer.concat([parent, SLASH, name]);
}

const SLASH = Buffer.from('/');
const DOT = Buffer.from('.');

export interface SourceMetadata extends Metadata {
	/** Number of the file system it is on. */
	readonly device: bigint;
}

/** Names in a directory, in bytewise order. @throws the system's error */
export function listNames(path: Buffer): Buffer[] {
	return readdirSync(path, { encoding: 'buffer' }).sort(Buffer.compare);
}

export function exists(path: Buffer): boolean {
	return lstatSync(path, { throwIfNoEntry: false }) !== undefined;
}

/** An entry's metadata; null for what a backup has no place for (sockets). @throws the system's error */
export function readMetadata(path: Buffer): SourceMetadata | null {
	const stat = lstatSync(path, { bigint: true });
	const type = entryType(stat);
	if (!type) return null;
	return toMetadata(stat, type, type === 'symlink' ? readlinkSync(path, { encoding: 'buffer' }) : null);
}

/**
 * Opens what was seen as a regular file. Never follows a link and never waits for a fifo that took its place.
 * @returns the open file and its metadata at this moment; null when it is no regular file any more
 * @throws the system's error
 */
export function openRegular(path: Buffer): { fd: number; metadata: Metadata } | null {
	const fd = openSync(path, READ_FLAGS);
	const stat = fstatSync(fd, { bigint: true });
	if (stat.isFile()) return { fd, metadata: toMetadata(stat, 'file', null) };
	closeSync(fd);
	return null;
}

// Only the owner and root may ask for O_NOATIME; the rest get EPERM.
const NO_ATIME = process.getuid?.() === 0 ? constants.O_NOATIME : 0;
/** What a file of the source is opened with. */
export const READ_FLAGS = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK | NO_ATIME;

function entryType(stat: BigIntStats): EntryType | null {
	if (stat.isFile()) return 'file';
	if (stat.isDirectory()) return 'dir';
	if (stat.isSymbolicLink()) return 'symlink';
	if (stat.isFIFO()) return 'fifo';
	if (stat.isCharacterDevice()) return 'chardev';
	if (stat.isBlockDevice()) return 'blockdev';
	return null;
}

function toMetadata(stat: BigIntStats, type: EntryType, link: Buffer | null): SourceMetadata {
	const uid = Number(stat.uid);
	const gid = Number(stat.gid);
	const device = type === 'chardev' || type === 'blockdev' ? stat.rdev : 0n;
	const seconds = stat.mtimeNs >= 0n ? stat.mtimeNs / 1_000_000_000n : 0n;
	return {
		type,
		mode: Number(stat.mode & 0o7777n),
		uid,
		gid,
		uname: name('passwd', uid),
		gname: name('group', gid),
		// Stock writes times before 1970 as 0, and so does tsdup: both then see the entry as unchanged.
		mtime: Number(seconds),
		mtimeNs: stat.mtimeNs >= 0n ? Number(stat.mtimeNs % 1_000_000_000n) : 0,
		size: link ? link.length : type === 'file' ? Number(stat.size) : 0,
		link,
		devMajor: Number(((device >> 8n) & 0xfffn) | ((device >> 32n) & ~0xfffn)),
		device: stat.dev,
		devMinor: Number((device & 0xffn) | ((device >> 12n) & ~0xffn)),
	};
}

const known = new Map<string, Buffer>();

/** The system's name of an owner or group, from wherever it keeps them (files, LDAP, …); empty when it has none. */
function name(database: 'passwd' | 'group', id: number): Buffer {
	const key = `${database}/${id}`;
	let found = known.get(key);
	if (!found) {
		try {
			const line = execFileSync('getent', [database, String(id)], { stdio: ['ignore', 'pipe', 'ignore'] });
			found = Buffer.from(line.subarray(0, Math.max(0, line.indexOf(':'))));
		} catch {
			found = NONE;
		}
		known.set(key, found);
	}
	return found;
}
