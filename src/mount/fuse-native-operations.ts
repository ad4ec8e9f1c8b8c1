/**
 * The operations of a `FileSystem` as fuse-native calls them: by path, with callbacks and negative errnos.
 * Each answers exactly once, within the deadline. An error that is no `Errno` is answered with EIO and logged to
 * stderr with path and cause; who throws an `Errno` has logged what there is to say.
 */
import { constants } from 'node:os';
import type { Callback, Operations, XattrSignal } from 'fuse-native';
import { withDeadline } from './deadline.js';
import { Errno, type FileSystem } from './driver.js';
import { wholeListing } from './parts.js';
import type { PathResolver } from './path-resolver.js';
import { LISTED, toStat } from './stat.js';
import type { ShownXattrs } from './xattrs.js';

/** Milliseconds; newer kernels can be told to abort a mount that leaves a request unanswered for 30 s. */
const DEADLINE = 25_000;

/** Bytes of a symlink's target that the kernel takes, and libfuse's buffer for its UTF-8 form on the way there. */
const LONGEST_TARGET = 4095;

export function operationsOf(fs: FileSystem, resolver: PathResolver): Operations {
	/** The size in bytes of each open file, by handle. */
	const sizes = new Map<number, number>();

	return {
		getattr(path, callback) {
			answer('stat', path, resolver.resolve(path), callback, (attributes) => callback(0, toStat(attributes)));
		},

		readdir: overridden,

		readlink(path, callback) {
			const target = resolver.resolve(path).then(async ({ ino }) => {
				const text = (await fs.readlink(ino)).toString('latin1');
				// Longer ones would be cut without a word by fuse-native.
				if (Buffer.byteLength(text, 'utf8') > LONGEST_TARGET) throw new Errno('ENAMETOOLONG');
				return text;
			});
			answer('readlink', path, target, callback, (text) => callback(0, text));
		},

		open(path, _flags, callback) {
			const opening = resolver.resolve(path).then(({ ino }) => fs.open(ino));
			answer(
				'open',
				path,
				opening,
				(error) => {
					callback(error);
					// It may yet open, after the deadline.
					opening.then(({ handle }) => fs.release(handle)).catch(() => undefined);
				},
				({ handle, size }) => {
					sizes.set(handle, size);
					callback(0, handle);
				},
			);
		},

		read(path, handle, buffer, length, offset, callback) {
			const reading = fs.read(handle, offset, length).then((pieces) => {
				const bytes = Buffer.concat(pieces);
				// The kernel takes a short read for the end of the file, and would cut the file there.
				const expected = Math.min(length, (sizes.get(handle) ?? 0) - offset);
				if (bytes.length < expected || bytes.length > length) {
					throw new Error(`got ${bytes.length} bytes at ${offset} instead of ${expected}`);
				}
				return bytes;
			});
			answer('read', path, reading, callback, (bytes) => {
				// After the deadline the buffer is not ours any more: copy only here.
				bytes.copy(buffer);
				callback(bytes.length);
			});
		},

		release(path, handle, callback) {
			sizes.delete(handle);
			answer('close', path, fs.release(handle), callback, () => callback(0));
		},

		statfs(path, callback) {
			answer('statfs', path, fs.statfs(), callback, (space) => callback(0, toStatFs(space)));
		},

		getxattr: overridden,
		listxattr: overridden,
	};
}

/** fuse-native calls an operation only if there is one. */
function overridden(): never {
	throw new Error('this is answered by the override of its _op_ method');
}

/** In place of fuse-native's own `_op_getxattr` and `_op_listxattr`, which take names for text and write past the room. */
export function xattrsOf(
	shown: ShownXattrs,
	resolver: PathResolver,
): {
	get(signal: XattrSignal, path: string, name: string, room: Buffer): void;
	list(signal: XattrSignal, path: string, room: Buffer): void;
} {
	const reply = (signal: XattrSignal, path: string, room: Buffer, work: (ino: number) => Promise<Buffer>) => {
		const { buffer, length } = room;
		const fail = (error: number) => signal(error, buffer);
		answer(
			'read attributes of',
			path,
			resolver.resolve(path).then(({ ino }) => work(ino)),
			fail,
			(bytes) => {
				if (length > 0 && bytes.length > length) return fail(-constants.errno.ERANGE);
				// Without room they ask for the length.
				if (length > 0) bytes.copy(room);
				signal(bytes.length, buffer);
			},
		);
	};
	return {
		get: (signal, path, name, room) => reply(signal, path, room, (ino) => shown.get(ino, Buffer.from(name))),
		list: (signal, path, room) => reply(signal, path, room, (ino) => shown.list(ino)),
	};
}

/** In place of fuse-native's own `_op_readdir`, which makes a stat array for each entry: libfuse reads only the type. */
export function readdirOf(
	fs: FileSystem,
	resolver: PathResolver,
): (signal: Callback<[string[]?, Uint32Array[]?]>, path: string) => void {
	return (signal, path) => {
		const listing = resolver.directory(path).then((ino) => wholeListing(fs, ino));
		answer('list', path, listing, signal, (entries) => {
			signal(
				0,
				['.', '..', ...entries.map((entry) => entry.name.toString('latin1'))],
				[LISTED.dir, LISTED.dir, ...entries.map((entry) => LISTED[entry.type])],
			);
		});
	};
}

/** fuse-native carries 32-bit counts: larger trees are told in larger blocks. */
function toStatFs(space: { blockSize: number; blocks: number; files: number }) {
	let { blockSize, blocks } = space;
	while (blocks >= 2 ** 32) {
		blockSize *= 2;
		blocks = Math.ceil(blocks / 2);
	}
	return {
		bsize: blockSize,
		frsize: blockSize,
		blocks,
		files: Math.min(space.files, 2 ** 32 - 1),
		namemax: 255,
	};
}

function answer<T>(
	action: string,
	path: string,
	work: Promise<T>,
	fail: (error: number) => void,
	succeed: (value: T) => void,
): void {
	withDeadline(work, DEADLINE).then(succeed, (error: unknown) => {
		if (!(error instanceof Errno)) log(action, path, error);
		fail(-constants.errno[error instanceof Errno ? error.code : 'EIO']);
	});
}

function log(action: string, path: string, error: unknown): void {
	const name = JSON.stringify(Buffer.from(path, 'latin1').toString());
	const reasons: string[] = [];
	for (let cause = error; cause instanceof Error; cause = cause.cause) reasons.push(cause.message);
	process.stderr.write(`${new Date().toISOString()} cannot ${action} ${name}: ${reasons.join(': ')}\n`);
}
