/**
 * A tree of files described without loss, so that two can be compared: the source of a backup with what comes out of it.
 * Must run outside of the process that serves a mount: everything here blocks.
 */
import { createHash } from 'node:crypto';
import {
	type BigIntStats,
	closeSync,
	type Dirent,
	fstatSync,
	lstatSync,
	openSync,
	readdirSync,
	readlinkSync,
	readSync,
} from 'node:fs';

type Type = 'file' | 'dir' | 'symlink' | 'fifo' | 'chardev' | 'blockdev' | 'socket';

export interface TreeEntry {
	/** Relative to the root, one character per byte; empty for the root. */
	readonly path: string;
	readonly type: Type;
	/** Octal; symlinks have none. */
	readonly mode: string;
	readonly uid: number;
	readonly gid: number;
	/** Whole seconds; times before 1970 are 0, as backups have them. */
	readonly mtime: number;
	/** Bytes; of directories 0. */
	readonly size: number;
	/** Of a regular file's content. */
	readonly sha256: string;
	/** A symlink's target, one character per byte. */
	readonly link: string;
	/** `major,minor` of devices. */
	readonly device: string;
}

const SLASH = Buffer.from('/');
const CHUNK = Buffer.allocUnsafe(2 ** 20);

/**
 * Everything below `root` and itself, parents before children, siblings in bytewise order: duplicity's own order. Sockets
 * are left out, and the paths (one character per byte) that `leaveOut` names, with all below them.
 */
export function describeTree(root: Buffer, { leaveOut = [] }: { leaveOut?: string[] } = {}): TreeEntry[] {
	const entries: TreeEntry[] = [];
	const visit = (absolute: Buffer, path: string, listed: Type | null) => {
		if (leaveOut.includes(path)) return;
		const entry = describeEntry(absolute, path);
		if (listed !== null && listed !== entry.type)
			throw new Error(`${JSON.stringify(path)} is listed as ${listed}`);
		if (entry.type === 'socket') return;
		entries.push(entry);
		if (entry.type !== 'dir') return;
		const children = readdirSync(absolute, { encoding: 'buffer', withFileTypes: true });
		for (const child of children.sort((a, b) => Buffer.compare(a.name, b.name))) {
			const name = child.name.toString('latin1');
			const below = Buffer.concat([absolute, SLASH, child.name]);
			visit(below, path === '' ? name : `${path}/${name}`, typeOf(child));
		}
	};
	visit(root, '', null);
	return entries;
}

function describeEntry(absolute: Buffer, path: string): TreeEntry {
	const stat = lstatSync(absolute, { bigint: true });
	const type = typeOf(stat);
	const device = type === 'chardev' || type === 'blockdev' ? stat.rdev : null;
	return {
		path,
		type,
		mode: type === 'symlink' ? '' : (stat.mode & 0o7777n).toString(8),
		uid: Number(stat.uid),
		gid: Number(stat.gid),
		mtime: stat.mtimeNs < 0n ? 0 : Number(stat.mtimeNs / 1_000_000_000n),
		size: type === 'dir' ? 0 : Number(stat.size),
		sha256: type === 'file' ? hash(absolute) : '',
		link: type === 'symlink' ? readlinkSync(absolute, { encoding: 'buffer' }).toString('latin1') : '',
		// glibc's makedev: 12 low bits of the major, 20 of the minor, in between each other.
		device:
			device === null ? '' : `${(device >> 8n) & 0xfffn},${(device & 0xffn) | ((device >> 12n) & 0xfff00n)}`,
	};
}

function typeOf(stat: BigIntStats | Dirent<Buffer>): Type {
	if (stat.isFile()) return 'file';
	if (stat.isDirectory()) return 'dir';
	if (stat.isSymbolicLink()) return 'symlink';
	if (stat.isFIFO()) return 'fifo';
	if (stat.isCharacterDevice()) return 'chardev';
	return stat.isBlockDevice() ? 'blockdev' : 'socket';
}

/** Reads to the end of the file, wherever `stat` says that it is. */
function hash(absolute: Buffer): string {
	const digest = createHash('sha256');
	const fd = openSync(absolute, 'r');
	try {
		for (let count = -1; count !== 0; ) {
			count = readSync(fd, CHUNK, 0, CHUNK.length, null);
			digest.update(CHUNK.subarray(0, count));
		}
	} finally {
		closeSync(fd);
	}
	return digest.digest('hex');
}

const FIELDS = ['type', 'mode', 'uid', 'gid', 'mtime', 'size', 'sha256', 'link', 'device'] as const;

export interface Comparison {
	/** Stock duplicity doesn't restore the times of symlinks. */
	readonly symlinkTimes: boolean;
}

/** @throws Error with the first differences, when there are any */
export function assertSameTree(
	actual: readonly TreeEntry[],
	expected: readonly TreeEntry[],
	what: string,
	{ symlinkTimes }: Comparison = { symlinkTimes: true },
): void {
	const found = new Map(actual.map((entry) => [entry.path, entry]));
	const differences: string[] = [];
	for (const entry of expected) {
		const other = found.get(entry.path);
		found.delete(entry.path);
		if (!other) {
			differences.push(`${shown(entry)} is missing`);
			continue;
		}
		for (const field of FIELDS) {
			if (field === 'mtime' && entry.type === 'symlink' && !symlinkTimes) continue;
			if (other[field] === entry[field]) continue;
			differences.push(
				`${shown(entry)}: ${field} is ${JSON.stringify(other[field])}, not ${JSON.stringify(entry[field])}`,
			);
		}
	}
	for (const entry of found.values()) differences.push(`${shown(entry)} should not be there`);
	if (differences.length === 0) return;
	const more = differences.length > 20 ? `\n  and ${differences.length - 20} more` : '';
	throw new Error(`${what} differs:\n  ${differences.slice(0, 20).join('\n  ')}${more}`);
}

function shown({ path, type }: TreeEntry): string {
	return `${type} ${JSON.stringify(path)}`;
}

/**
 * Compares pieces of random places and lengths, some of which go over the end of the file: three of each file of the
 * trees, and one of every twentieth of the small ones.
 * @throws Error on the first piece that differs
 */
export function assertSameAtRandomOffsets(
	actual: Buffer,
	expected: Buffer,
	entries: readonly TreeEntry[],
	random: () => number,
): void {
	for (const { path, type, size } of entries) {
		const isSmall = size < 4096;
		if (type !== 'file' || (isSmall && random() >= 0.05)) continue;
		const name = Buffer.from(path, 'latin1');
		const [a, b] = [actual, expected].map((root) => openSync(Buffer.concat([root, SLASH, name]), 'r')) as [
			number,
			number,
		];
		try {
			for (let i = isSmall ? 2 : 0; i < 3; i++) {
				const offset = Math.floor(random() * size);
				const length = 1 + Math.floor(random() * (i % 2 === 0 ? 5000 : 300_000));
				const found = readAt(a, offset, length);
				if (found.equals(readAt(b, offset, length))) continue;
				throw new Error(
					`${JSON.stringify(path)}: ${length} bytes at ${offset} differ (of ${fstatSync(a).size})`,
				);
			}
		} finally {
			closeSync(a);
			closeSync(b);
		}
	}
}

function readAt(fd: number, offset: number, length: number): Buffer {
	const bytes = Buffer.allocUnsafe(length);
	let filled = 0;
	while (filled < length) {
		const count = readSync(fd, bytes, filled, length - filled, offset + filled);
		if (count === 0) break;
		filled += count;
	}
	return Buffer.from(bytes.subarray(0, filled));
}

/** Numbers from 0 up to 1, the same for the same seed (mulberry32). */
export function seededRandom(seed: number): () => number {
	let state = seed;
	return () => {
		state = (state + 0x6d2b79f5) | 0;
		let t = Math.imul(state ^ (state >>> 15), 1 | state);
		t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
		return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
	};
}
