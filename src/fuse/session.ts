/**
 * A read-only FUSE file system upon libfuse 3's low-level interface (native/fuse.cc). Requests come by inode; each is answered
 * once, whenever the answer is there. Listings carry attributes, and come in parts, which the addon keeps, so that going through a
 * directory asks for each part once.
 */
import { constants } from 'node:os';
import { loadAddon } from '../addon.js';

/** What the kernel asks for; the order is native/fuse-session.h's. */
export const OPERATIONS = [
	'lookup',
	'getattr',
	'readlink',
	'readdir',
	'read',
	'statfs',
	'getxattr',
	'listxattr',
] as const;
export type Operation = (typeof OPERATIONS)[number];

export interface Request {
	readonly operation: Operation;
	/** For the answer. */
	readonly id: number;
	/** Of a lookup: the directory's. */
	readonly ino: number;
	/** Of a read; bytes. Of a readdir: that of the entry behind which it goes on; 0: from the first one on. */
	readonly offset: number;
	/** Of a read or a question about extended attributes; bytes. */
	readonly length: number;
	/** Of a lookup, or of an extended attribute. */
	readonly name: Buffer | undefined;
}

/** Of an entry, and how long the kernel may trust them. */
export interface Attr {
	/** Up to 2^53 - 1; the root is 1. */
	readonly ino: number;
	/** Type and permissions, as in `st_mode`. */
	readonly mode: number;
	readonly nlink: number;
	readonly uid: number;
	readonly gid: number;
	/** Bytes; NaN in a listing: not known, nor is anything but `ino` and `mode`. */
	readonly size: number;
	/** Seconds since 1970, and nanoseconds from there, 0 to 999999999. */
	readonly mtime: number;
	readonly mtimeNs: number;
	/** As in `st_rdev`. */
	readonly rdev: number;
	/** Units of 512 bytes, as in `st_blocks`. */
	readonly blocks: number;
	/** Whether `getxattr` and `listxattr` are asked for it. */
	readonly hasXattrs: boolean;
	/** Seconds. */
	readonly entryTimeout: number;
	readonly attrTimeout: number;
}

interface Native {
	mount(
		mountpoint: string,
		options: readonly string[],
		onRequest: (
			operation: number,
			id: number,
			ino: number,
			offset: number,
			length: number,
			name: Buffer | undefined,
		) => void,
		onEnd: () => void,
	): NativeSession;
}

interface NativeSession {
	readonly attributes: Float64Array;
	entry(id: number): void;
	attr(id: number): void;
	error(id: number, errno: number): void;
	data(id: number, pieces: readonly Buffer[]): void;
	link(id: number, target: Buffer): void;
	xattr(id: number, size: number, bytes: Buffer): void;
	listing(
		id: number,
		names: Buffer,
		ends: Uint32Array,
		offsets: Float64Array,
		attributes: Float64Array,
		isLast: boolean,
	): void;
	space(id: number, blockSize: number, blocks: number, files: number): void;
	expire(ms: number): number[];
	store(inos: readonly number[], contents: readonly Buffer[]): void;
	forget(folder: number, name: Buffer): void;
	withoutXattrs(): void;
}

const FIELDS = 13;
/** Of one answer: the system writes 1024 at a time, one of which is its head. */
const MOST_PIECES = 1023;

let native: Native | undefined;

/** The answers to a request that is not open any more (interrupted, expired, unmounted) are ignored. */
export class Session {
	/** Fulfilled when the kernel has let go of the file system. */
	readonly ended: Promise<void>;
	readonly #native: NativeSession;

	/**
	 * Mounts. While it is mounted the process does not end by itself.
	 * @param options as for mount(8), one each
	 * @param onRequest must not throw
	 * @throws Error with libfuse's reason; TsdupError when libfuse 3 is not there
	 */
	constructor(mountpoint: string, options: readonly string[], onRequest: (request: Request) => void) {
		native ??= loadAddon('fuse', 'fuse3') as Native;
		let end = () => {};
		this.ended = new Promise((resolve) => {
			end = resolve;
		});
		this.#native = native.mount(
			mountpoint,
			options,
			(operation, id, ino, offset, length, name) =>
				onRequest({ operation: OPERATIONS[operation] as Operation, id, ino, offset, length, name }),
			() => end(),
		);
	}

	/** The kernel is told that there are no extended attributes, which it remembers: it never asks for any. */
	withoutXattrs(): void {
		this.#native.withoutXattrs();
	}

	/** To `lookup`. */
	entry(id: number, attr: Attr): void {
		fill(this.#native.attributes, 0, attr);
		this.#native.entry(id);
	}

	/** To `getattr`. */
	attr(id: number, attr: Attr): void {
		fill(this.#native.attributes, 0, attr);
		this.#native.attr(id);
	}

	error(id: number, code: keyof typeof constants.errno): void {
		this.#native.error(id, constants.errno[code]);
	}

	/** To `read`: fewer bytes than were asked for mean the end of the file. */
	data(id: number, pieces: readonly Buffer[]): void {
		this.#native.data(id, pieces.length <= MOST_PIECES ? pieces : [Buffer.concat(pieces)]);
	}

	/** To `readlink`. */
	link(id: number, target: Buffer): void {
		this.#native.link(id, target);
	}

	/** To `getxattr`: the value; to `listxattr`: names, each ended by a NUL. Answers ERANGE where `request.length` has no room. */
	xattr(request: Request, bytes: Buffer): void {
		this.#native.xattr(request.id, request.length, bytes);
	}

	/**
	 * To `readdir`: the entries, but for `.` and `..`, that come next, or some of them. The kernel keeps them until it sees another mtime of
	 * the directory.
	 * @param entries their offsets are from 1 to 2^53 - 1, each in its directory only once
	 * @param isLast whether these are all; if not, there is one at least
	 */
	listing(
		id: number,
		entries: readonly { name: Buffer; offset: number; attr: Attr }[],
		isLast: boolean,
	): void {
		const ends = new Uint32Array(entries.length);
		const offsets = new Float64Array(entries.length);
		const attributes = new Float64Array(entries.length * FIELDS);
		const names = Buffer.allocUnsafe(entries.reduce((length, { name }) => length + name.length, 0));
		let end = 0;
		entries.forEach(({ name, offset, attr }, i) => {
			// Names are short: a call for each would take longer than its bytes.
			for (let at = 0; at < name.length; at++) names[end + at] = name[at] as number;
			end += name.length;
			ends[i] = end;
			offsets[i] = offset;
			fill(attributes, i * FIELDS, attr);
		});
		this.#native.listing(id, names, ends, offsets, attributes, isLast);
	}

	/** To `statfs`. */
	space(id: number, blockSize: number, blocks: number, files: number): void {
		this.#native.space(id, blockSize, blocks, files);
	}

	/** Gives the whole content of files to the kernel's page cache, in the background. What the kernel does not want it drops. */
	store(files: readonly { ino: number; bytes: Buffer }[]): void {
		this.#native.store(
			files.map(({ ino }) => ino),
			files.map(({ bytes }) => bytes),
		);
	}

	/** Has the kernel forget a folder's attributes and listing, and what some names in it stand for; in the background. */
	forget(folder: number, names: readonly string[]): void {
		for (const name of ['', ...names]) this.#native.forget(folder, Buffer.from(name));
	}

	/** Answers with EIO what has been open for longer than `ms` milliseconds. @returns the ids */
	expire(ms: number): number[] {
		return this.#native.expire(ms);
	}
}

function fill(fields: Float64Array, at: number, attr: Attr): void {
	fields[at] = attr.ino;
	fields[at + 1] = attr.mode;
	fields[at + 2] = attr.nlink;
	fields[at + 3] = attr.uid;
	fields[at + 4] = attr.gid;
	fields[at + 5] = attr.size;
	fields[at + 6] = attr.mtime;
	fields[at + 7] = attr.mtimeNs;
	fields[at + 8] = attr.rdev;
	fields[at + 9] = attr.entryTimeout;
	fields[at + 10] = attr.attrTimeout;
	fields[at + 11] = attr.blocks;
	fields[at + 12] = attr.hasXattrs ? 1 : 0;
}
