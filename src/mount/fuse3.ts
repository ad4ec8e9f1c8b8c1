/** The driver upon libfuse 3 (src/fuse). Called by `serve`. Inodes are those of the tree, names are bytes all the way. */
import { LRUCache } from 'lru-cache';
import { TsdupError } from '../errors.js';
import { type Attr, type Request, Session } from '../fuse/session.js';
import { detach } from './detach.js';
import {
	type Attributes,
	type DirectoryEntry,
	type Driver,
	Errno,
	type FileSystem,
	type Mounted,
	type MountOptions,
	type OpenFile,
} from './driver.js';
import { ReadAhead } from './read-ahead.js';
import { encodeDevice, S_IFMT } from './stat.js';
import { ShownXattrs } from './xattrs.js';

/** Seconds that the kernel trusts a folder in which snapshots come and go: that somebody looks there is how new ones are found. */
const FOLDER_TRUST = 10;
/** The same of all else, which never changes. */
const TRUST = 86_400;

/** Milliseconds; newer kernels can be told to abort a mount that leaves a request unanswered for 30 s. */
const DEADLINE = 25_000;

/** Files that are kept open, because nobody says when the last reader is gone. */
const OPEN_FILES = 256;

export const fuse3: Driver = {
	givesNamesAgain: true,
	async mount(mountpoint: string, fs: FileSystem, options: MountOptions): Promise<Mounted> {
		const server = new Server(fs, options);
		const session = start(mountpoint, options, (request) => server.serve(request, session));
		// Each `ls -l` and `cp -a` asks for those of every file: without any, that would be the dearest part of them.
		if (!fs.hasXattrs()) session.withoutXattrs();
		const timer = setInterval(() => server.expire(session), 1000);
		const unmounted = session.ended.then(() => clearInterval(timer));
		return {
			unmounted,
			forget(folder: number, names: readonly string[]): void {
				session.forget(folder, names);
			},
			async unmount(): Promise<void> {
				await detach(mountpoint);
				await unmounted;
			},
		};
	},
};

function start(mountpoint: string, options: MountOptions, onRequest: (request: Request) => void): Session {
	try {
		return new Session(mountpoint, mountWords(options), onRequest);
	} catch (cause) {
		if (cause instanceof TsdupError) throw cause;
		const mayNotShare = options.allowOther && process.getuid?.() !== 0;
		const hint = mayNotShare
			? 'allow_other needs the line user_allow_other in /etc/fuse.conf'
			: 'it needs /dev/fuse and, for users other than root, the program fusermount3 (Debian: apt install fuse3)';
		throw new TsdupError(`cannot mount on ${mountpoint}: ${(cause as Error).message}; ${hint}`, { cause });
	}
}

function mountWords({ allowOther, noExec, fsname }: MountOptions): string[] {
	const words = ['ro', 'nosuid', 'nodev', 'noatime', 'default_permissions', 'subtype=tsdup'];
	words.push(`fsname=${fsname.replace(/[\\,]/g, '\\$&')}`, `max_read=${2 ** 20}`);
	if (allowOther) words.push('allow_other');
	if (noExec) words.push('noexec');
	return words;
}

/** Answers the requests of one mount. */
class Server {
	readonly #fs: FileSystem;
	readonly #options: MountOptions;
	readonly #files: LRUCache<number, Promise<OpenFile>>;
	#readAhead: ReadAhead | undefined;
	readonly #xattrs: ShownXattrs;
	/** What is being worked on, for the log. */
	readonly #waiting = new Map<number, Request>();

	constructor(fs: FileSystem, options: MountOptions) {
		this.#fs = fs;
		this.#options = options;
		this.#xattrs = new ShownXattrs(fs, options);
		this.#files = new LRUCache({
			max: OPEN_FILES,
			dispose: (file) => {
				file.then(({ handle }) => fs.release(handle)).catch(() => {});
			},
		});
	}

	serve(request: Request, session: Session): void {
		const { id, operation } = request;
		this.#waiting.set(id, request);
		this.#answer(request, session)
			.catch((error: unknown) => {
				if (!(error instanceof Errno)) log(operation, request, error);
				session.error(id, error instanceof Errno ? error.code : 'EIO');
			})
			.finally(() => this.#waiting.delete(id));
	}

	expire(session: Session): void {
		for (const id of session.expire(DEADLINE)) {
			const request = this.#waiting.get(id);
			if (request) log(request.operation, request, new Error(`no answer within ${DEADLINE / 1000} s`));
		}
	}

	async #answer(request: Request, session: Session): Promise<void> {
		const { operation, id, ino, offset, length, name } = request;
		const fs = this.#fs;
		switch (operation) {
			case 'lookup':
				return session.entry(id, this.#attr(await fs.lookup(ino, name as Buffer), ino));
			case 'getattr':
				return session.attr(id, this.#attr(await fs.getattr(ino)));
			case 'readlink':
				return session.link(id, shortEnough(await fs.readlink(ino)));
			case 'readdir': {
				const ahead = this.#ahead(session);
				const part = await ahead.readdir(ino, offset);
				const entries = part.entries.map((entry) => {
					return { name: entry.name, offset: entry.offset, attr: this.#listed(entry, ino) };
				});
				session.listing(id, entries, part.isLast);
				return ahead.listed(ino, offset, part);
			}
			case 'read': {
				const ahead = this.#ahead(session);
				const given = ahead.content(ino)?.subarray(offset, offset + length);
				const pieces = given ? [given] : await this.#read(ino, offset, length);
				session.data(id, pieces);
				// All of it was read at once: a small file.
				if (offset === 0 && lengthOf(pieces) < length) await ahead.read(ino);
				return;
			}
			case 'getxattr':
				return session.xattr(request, await this.#xattrs.get(ino, name as Buffer));
			case 'listxattr':
				return session.xattr(request, await this.#xattrs.list(ino));
			case 'statfs': {
				const { blockSize, blocks, files } = await fs.statfs();
				return session.space(id, blockSize, blocks, files);
			}
		}
	}

	#ahead(session: Session): ReadAhead {
		this.#readAhead ??= new ReadAhead(this.#fs, (files) => session.store(files));
		return this.#readAhead;
	}

	async #read(ino: number, offset: number, length: number): Promise<Buffer[]> {
		let file = this.#files.get(ino);
		if (!file) {
			file = this.#fs.open(ino);
			this.#files.set(ino, file);
			// The next reader may have more luck.
			file.catch(() => this.#files.delete(ino));
		}
		const { handle, size } = await file;
		const pieces = await this.#fs.read(handle, offset, length);
		// The kernel takes a short read for the end of the file, and would cut the file there.
		const expected = Math.max(0, Math.min(length, size - offset));
		const got = lengthOf(pieces);
		if (got === expected) return pieces;
		throw new Error(`got ${got} bytes at ${offset} instead of ${expected}`);
	}

	#listed({ ino, type, attributes }: DirectoryEntry, parent: number): Attr {
		if (attributes) return this.#attr(attributes, parent);
		return unknown(ino, S_IFMT[type]);
	}

	/** @param parent the directory that names the entry; `getattr` knows none */
	#attr(attributes: Attributes, parent = attributes.ino): Attr {
		const { uid, gid, umask } = this.#options;
		const trust = (ino: number) => (this.#fs.isFixed(ino) ? TRUST : FOLDER_TRUST);
		return {
			ino: attributes.ino,
			mode: S_IFMT[attributes.type] | (umask === undefined ? attributes.mode : 0o777 & ~umask),
			nlink: attributes.nlink,
			uid: uid ?? attributes.uid,
			gid: gid ?? attributes.gid,
			size: attributes.size,
			mtime: attributes.mtime,
			mtimeNs: attributes.mtimeNs,
			rdev: encodeDevice(attributes.devMajor, attributes.devMinor),
			blocks: Math.ceil(attributes.allocated / 512),
			hasXattrs: attributes.hasXattrs,
			entryTimeout: trust(parent),
			attrTimeout: trust(attributes.ino),
		};
	}
}

function lengthOf(pieces: readonly Buffer[]): number {
	return pieces.reduce((length, piece) => length + piece.length, 0);
}

/** The kernel is to ask for the rest when somebody wants it. Field by field: V8 is slow with spread objects. */
function unknown(ino: number, mode: number): Attr {
	return {
		ino,
		mode,
		nlink: 0,
		uid: 0,
		gid: 0,
		size: Number.NaN,
		mtime: 0,
		mtimeNs: 0,
		rdev: 0,
		entryTimeout: 0,
		attrTimeout: 0,
		blocks: 0,
		hasXattrs: false,
	};
}

/** Bytes of a symlink's target that the kernel takes. */
const LONGEST_TARGET = 4095;

function shortEnough(target: Buffer): Buffer {
	if (target.length > LONGEST_TARGET) throw new Errno('ENAMETOOLONG');
	return target;
}

function log(action: string, { ino, name }: Request, error: unknown): void {
	const what = name ? `${JSON.stringify(name.toString())} in inode ${ino}` : `inode ${ino}`;
	const reasons: string[] = [];
	for (let cause = error; cause instanceof Error; cause = cause.cause) reasons.push(cause.message);
	process.stderr.write(`${new Date().toISOString()} cannot ${action} ${what}: ${reasons.join(': ')}\n`);
}
