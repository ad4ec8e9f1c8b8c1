/**
 * A mount of a made-up tree, for test/mount-driver.test.ts: `synthetic-mount.js MOUNTPOINT` mounts it in the
 * background as `tsdup mount` does, with `--foreground` in this process.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { TsdupError } from '../src/errors.js';
import { reportError, reportReady, runInBackground } from '../src/mount/background.js';
import {
	type Attributes,
	type DriverName,
	Errno,
	type FileSystem,
	type OpenFile,
	type Part,
	ROOT_INO,
} from '../src/mount/driver.js';
import { prepareMountpoint } from '../src/mount/mountpoint.js';
import { parseMountOptions } from '../src/mount/options.js';
import { DRIVERS, serve } from '../src/mount/serve.js';

/** Every byte that a name may hold: all but NUL and slash. */
export const EVERY_BYTE = Buffer.from(
	Array.from({ length: 255 }, (_, i) => i + 1).filter((byte) => byte !== 0x2f),
);
export const LONG_NAME = Buffer.alloc(255, 0xff);
/** A path of 3,840 bytes. */
export const DEEP_NAME = Buffer.alloc(255, 0xe9);
export const DEPTH = 15;
export const MANY = 5000;
/** Entries of a directory that are given at once. */
const PART = 1000;
export const DATA = content(5_000_000);

/** user::rw-, user:1234:r--, group::r--, mask::r--, other::---, as the kernel has it. */
const ACL = Buffer.from(
	'0200000001000600ffffffff02000400d204000004000400ffffffff10000400ffffffff20000000ffffffff',
	'hex',
);
/** Of the file `attributes`. */
export const XATTRS: readonly [string, Buffer][] = [
	['user.empty', Buffer.alloc(0)],
	['user.größte', Buffer.alloc(60_000, 'x')],
	['user.zeros', Buffer.from([0, 0xff, 0])],
	['trusted.overlay', Buffer.from('y')],
	['system.posix_acl_access', ACL],
];

interface Node {
	attributes: Attributes;
	children?: Map<string, Node>;
	target?: Buffer;
	xattrs?: [string, Buffer][];
	read?: (offset: number, length: number) => Promise<Buffer>;
}

/** Bytes that differ everywhere, so that a read from a wrong offset shows. */
function content(size: number): Buffer {
	const bytes = Buffer.alloc(size);
	for (let i = 0; i + 4 <= size; i += 4) bytes.writeUInt32LE(Math.imul(i, 2654435761) >>> 0, i);
	return bytes;
}

export class SyntheticTree implements FileSystem {
	readonly #nodes: Node[] = [];
	readonly #handles = new Map<number, Node>();
	#lastHandle = 0;

	constructor() {
		const root = this.#add('dir', { mode: 0o755 });
		const inOrder = async (offset: number, length: number) => DATA.subarray(offset, offset + length);
		const deep = (depth: number): Node =>
			depth === 0
				? this.#add('file', { size: 4 }, { read: async () => Buffer.from('deep') })
				: this.#add('dir', { mode: 0o755 }, { children: new Map([[key(DEEP_NAME), deep(depth - 1)]]) });
		const entries: [string | Buffer, Node][] = [
			['data', this.#add('file', { size: DATA.length }, { read: inOrder })],
			[EVERY_BYTE, this.#add('file')],
			[LONG_NAME, this.#add('file')],
			[DEEP_NAME, deep(DEPTH - 1)],
			['link', this.#add('symlink', { size: 4 }, { target: Buffer.from([0x2e, 0x2f, 0xe9, 0xff]) })],
			['longest link', this.#add('symlink', {}, { target: Buffer.alloc(4095, 'x') })],
			['too long link', this.#add('symlink', {}, { target: Buffer.alloc(4096, 0xe9) })],
			['chardev', this.#add('chardev', { devMajor: 10, devMinor: 229 })],
			['blockdev', this.#add('blockdev', { devMajor: 259, devMinor: 0xabcde })],
			['fifo', this.#add('fifo')],
			['setuid', this.#add('file', { mode: 0o6755, uid: 3_000_000_000, gid: 4_000_000_000, nlink: 3 })],
			[
				'huge',
				this.#add(
					'file',
					{ size: 2 ** 43 + 5, mtime: 2 ** 32, mtimeNs: 250_000_001, allocated: 4096 },
					{ read: async (offset, n) => Buffer.alloc(Math.min(n, 2 ** 43 + 5 - offset), 7) },
				),
			],
			['ancient', this.#add('file', { mtime: -5 })],
			[
				'broken',
				this.#add('file', { size: 9 }, { read: () => Promise.reject(new TsdupError('vol7 is damaged')) }),
			],
			[
				'attributes',
				this.#add('file', { hasXattrs: true }, { xattrs: XATTRS.map(([name, value]) => [name, value]) }),
			],
			['short', this.#add('file', { size: 9 }, { read: async () => Buffer.alloc(4) })],
			['slow', this.#add('file', { size: 4 }, { read: () => sleep(1500, Buffer.from('slow')) })],
			['stuck', this.#add('file', { size: 4 }, { read: () => new Promise(() => {}) })],
			['many', this.#add('dir', { mode: 0o755 }, { children: this.#crowd() })],
		];
		root.children = new Map(entries.map(([name, node]) => [key(Buffer.from(name)), node]));
	}

	#crowd(): Map<string, Node> {
		return new Map(Array.from({ length: MANY }, (_, i) => [`entry ${i}`, this.#add(i % 2 ? 'file' : 'dir')]));
	}

	#add(
		type: Attributes['type'],
		attributes: Partial<Attributes> = {},
		rest: Omit<Node, 'attributes'> = {},
	): Node {
		const ino = ROOT_INO + this.#nodes.length;
		const common = {
			mode: 0o644,
			nlink: 1,
			uid: 0,
			gid: 0,
			size: 0,
			mtime: 1_286_199_338,
			mtimeNs: 0,
			allocated: attributes.size ?? 0,
			hasXattrs: false,
			devMajor: 0,
			devMinor: 0,
		};
		const node = { ...rest, attributes: { ...common, ...attributes, ino, type } };
		this.#nodes.push(node);
		return node;
	}

	#node(ino: number): Node {
		const node = this.#nodes[ino - ROOT_INO];
		if (!node) throw new Errno('ENOENT');
		return node;
	}

	hasXattrs(): boolean {
		return true;
	}

	isFixed(ino: number): boolean {
		return ino !== ROOT_INO;
	}

	async getattr(ino: number): Promise<Attributes> {
		return this.#node(ino).attributes;
	}

	async lookup(parent: number, name: Buffer): Promise<Attributes> {
		const found = this.#node(parent).children?.get(key(name));
		if (!found) throw new Errno('ENOENT');
		return found.attributes;
	}

	async readdir(ino: number, after: number): Promise<Part> {
		const all = [...(this.#node(ino).children ?? [])];
		const first = all.findIndex(([, { attributes }]) => attributes.ino === after) + 1;
		const entries = all.slice(first, first + PART).map(([name, { attributes }]) => ({
			name: Buffer.from(name, 'latin1'),
			ino: attributes.ino,
			offset: attributes.ino,
			type: attributes.type,
			attributes,
		}));
		return { entries, isLast: first + PART >= all.length };
	}

	async readlink(ino: number): Promise<Buffer> {
		return this.#node(ino).target ?? Buffer.alloc(0);
	}

	async listxattr(ino: number): Promise<Buffer[]> {
		return (this.#node(ino).xattrs ?? []).map(([name]) => Buffer.from(name));
	}

	async getxattr(ino: number, name: Buffer): Promise<Buffer> {
		const found = this.#node(ino).xattrs?.find((xattr) => name.equals(Buffer.from(xattr[0])));
		if (!found) throw new Errno('ENODATA');
		return found[1];
	}

	async open(ino: number): Promise<OpenFile> {
		const node = this.#node(ino);
		this.#handles.set(++this.#lastHandle, node);
		return { handle: this.#lastHandle, size: node.attributes.size };
	}

	async read(handle: number, offset: number, length: number): Promise<Buffer[]> {
		const node = this.#handles.get(handle);
		if (!node) throw new Errno('EBADF');
		const bytes = await node.read?.(offset, length);
		return bytes ? inPieces(bytes) : [];
	}

	async release(handle: number): Promise<void> {
		this.#handles.delete(handle);
	}

	async following(): Promise<{ ino: number; bytes: Buffer }[]> {
		return [];
	}

	async statfs(): Promise<{ blockSize: number; blocks: number; files: number }> {
		return { blockSize: 4096, blocks: 2 ** 40, files: this.#nodes.length };
	}
}

function key(name: Buffer): string {
	return name.toString('latin1');
}

/** Long ones in more than the system takes at a time. */
function inPieces(bytes: Buffer): Buffer[] {
	const length = bytes.length > 2 ** 19 ? 500 : 4001;
	return Array.from({ length: Math.ceil(bytes.length / length) }, (_, i) =>
		bytes.subarray(i * length, (i + 1) * length),
	);
}

async function main(path: string, foreground: boolean): Promise<void> {
	if (!foreground)
		return runInBackground(import.meta.filename, [path, '--foreground'], {
			progress: () => {},
			clear: () => {},
		});
	try {
		const mountpoint = await prepareMountpoint(path);
		const options = parseMountOptions((process.env.MOUNT_OPTIONS ?? '').split(' '));
		const mounted = await serve(
			mountpoint,
			new SyntheticTree(),
			{ ...options, fsname: 'tsdup:a,b \\c' },
			DRIVERS[(process.env.MOUNT_DRIVER ?? 'fuse3') as DriverName],
		);
		await reportReady();
		await mounted.unmounted;
		process.exit(0);
	} catch (error) {
		if (!(error instanceof TsdupError)) throw error;
		if (!(await reportError(error))) process.stderr.write(`${error.message}\n`);
		process.exit(error.exit);
	}
}

if (process.argv[1] === import.meta.filename) {
	const [path = '', flag] = process.argv.slice(2);
	main(path, flag === '--foreground').catch((error: unknown) => {
		process.stderr.write(`${error instanceof Error ? error.message : error}\n`);
		process.exit(error instanceof TsdupError ? error.exit : 1);
	});
}
