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
	readFileSync,
	readlinkSync,
} from 'node:fs';
import type { EntryType, Metadata } from '../index/entry.js';
import { firstHole } from '../posix/calls.js';
import { type DigestOptions, type Facts, type FolderListing, listFacts } from './directory.js';

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
	readonly device: number;
	/** See Facts. */
	readonly stamp: number;
}

/** One name in a directory. */
export interface Listed {
	readonly name: Buffer;
	/** See FolderEntry. */
	readonly known: boolean;
	/** null: what a backup has no place for. @throws the system's error */
	metadata(): SourceMetadata | null;
}

export interface Listing extends Omit<FolderListing, 'entries'> {
	/** In bytewise order of names. */
	readonly entries: Iterable<Listed>;
}

/** What is in a directory. @throws the system's error */
export function listDirectory(path: Buffer, digest: DigestOptions | null): Listing {
	const { entries, ...rest } = listFacts(path, READ_FLAGS, digest);
	return { entries: listed(path, entries), ...rest };
}

function* listed(path: Buffer, entries: FolderListing['entries']): Generator<Listed, void> {
	for (const { name, facts, known } of entries) {
		// What is a link, and what could not be looked at, is looked at by itself.
		const plain = facts.mode !== 0 && (facts.mode & constants.S_IFMT) !== constants.S_IFLNK;
		const metadata = () => (plain ? toMetadata(facts, null) : readMetadata(childPath(path, name)));
		yield { name, known, metadata };
	}
}

export function exists(path: Buffer): boolean {
	return lstatSync(path, { throwIfNoEntry: false }) !== undefined;
}

/** An entry's metadata; null for what a backup has no place for (sockets). @throws the system's error */
export function readMetadata(path: Buffer): SourceMetadata | null {
	const facts = toFacts(lstatSync(path, { bigint: true }));
	const isLink = (facts.mode & constants.S_IFMT) === constants.S_IFLNK;
	return toMetadata(facts, isLink ? readlinkSync(path, { encoding: 'buffer' }) : null);
}

/** Whether the file system of this number is a tsdup mount: a backup of its backups would grow without end. */
export function isTsdupMount(device: number): boolean {
	const bits = BigInt(device);
	const number = `${(bits >> 8n) & 0xfffn}:${(bits & 0xffn) | ((bits >> 12n) & 0xfff00n)}`;
	return readFileSync('/proc/self/mountinfo', 'latin1')
		.split('\n')
		.some((line) => line.split(' ')[2] === number && line.includes(' - fuse.tsdup '));
}

/**
 * Opens what was seen as a regular file. Never follows a link and never waits for a fifo that took its place.
 * @returns the open file and its metadata at this moment; null when it is no regular file any more
 * @throws the system's error
 */
export function openRegular(path: Buffer): { fd: number; metadata: SourceMetadata } | null {
	const fd = openSync(path, READ_FLAGS);
	const stat = fstatSync(fd, { bigint: true });
	const metadata = toMetadata(toFacts(stat), null);
	if (metadata?.type === 'file') return { fd, metadata: { ...metadata, allocated: allocated(fd, stat) } };
	closeSync(fd);
	return null;
}

// Only the owner and root may ask for O_NOATIME; the rest get EPERM.
const NO_ATIME = process.getuid?.() === 0 ? constants.O_NOATIME : 0;
/** What a file of the source is opened with. */
export const READ_FLAGS = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK | NO_ATIME;

const TYPES = new Map<number, EntryType>([
	[constants.S_IFREG, 'file'],
	[constants.S_IFDIR, 'dir'],
	[constants.S_IFLNK, 'symlink'],
	[constants.S_IFIFO, 'fifo'],
	[constants.S_IFCHR, 'chardev'],
	[constants.S_IFBLK, 'blockdev'],
]);

const PER_SECOND = 1_000_000_000n;
/** As in native/directory.cc. */
const SPREAD = 0x9e3779b97f4a7c15n;

function toFacts(stat: BigIntStats): Facts {
	const { rdev, mtimeNs } = stat;
	const below = ((mtimeNs % PER_SECOND) + PER_SECOND) % PER_SECOND;
	return {
		mode: Number(stat.mode),
		uid: Number(stat.uid),
		gid: Number(stat.gid),
		size: Number(stat.size),
		seconds: Number((mtimeNs - below) / PER_SECOND),
		nanoseconds: Number(below),
		device: Number(stat.dev),
		major: Number(((rdev >> 8n) & 0xfffn) | ((rdev >> 32n) & ~0xfffn)),
		minor: Number((rdev & 0xffn) | ((rdev >> 12n) & ~0xffn)),
		names: Number(stat.nlink),
		file: Number(BigInt.asUintN(52, stat.ino ^ (stat.dev * SPREAD))),
		stamp: Number(BigInt.asUintN(64, ((stat.ino * SPREAD) ^ stat.ctimeNs) * SPREAD) >> 12n),
	};
}

function toMetadata(facts: Facts, link: Buffer | null): SourceMetadata | null {
	const { mode, uid, gid, size, seconds, nanoseconds, device, major, minor, names, file, stamp } = facts;
	const type = TYPES.get(mode & constants.S_IFMT);
	if (!type) return null;
	const isDevice = type === 'chardev' || type === 'blockdev';
	return {
		type,
		mode: mode & 0o7777,
		uid,
		gid,
		uname: name('passwd', uid),
		gname: name('group', gid),
		// Stock writes times before 1970 as 0, and so does tsdup: both then see the entry as unchanged.
		mtime: Math.max(seconds, 0),
		mtimeNs: seconds >= 0 ? nanoseconds : 0,
		size: link ? link.length : type === 'file' ? size : 0,
		link,
		devMajor: isDevice ? major : 0,
		device,
		stamp,
		devMinor: isDevice ? minor : 0,
		xattrs: null,
		hardLink: names > 1 && type !== 'dir' ? file : null,
		// Only to be found out of what is open.
		allocated: null,
	};
}

/** Bytes on disk of a file with holes; null: it has none. Compressing file systems take less room, too, so holes are looked for. */
function allocated(fd: number, { size, blocks }: BigIntStats): number | null {
	const bytes = Number(blocks) * 512;
	if (bytes >= size) return null;
	try {
		return firstHole(fd) < size ? bytes : null;
	} catch {
		// A file system that cannot say.
		return null;
	}
}

const known = { passwd: new Map<number, Buffer>(), group: new Map<number, Buffer>() };

/** The system's name of an owner or group, from wherever it keeps them (files, LDAP, …); empty when it has none. */
function name(database: 'passwd' | 'group', id: number): Buffer {
	let found = known[database].get(id);
	if (!found) {
		try {
			const line = execFileSync('getent', [database, String(id)], { stdio: ['ignore', 'pipe', 'ignore'] });
			found = Buffer.from(line.subarray(0, Math.max(0, line.indexOf(':'))));
		} catch {
			found = NONE;
		}
		known[database].set(id, found);
	}
	return found;
}
