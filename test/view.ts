/** A collection as its mount shows it, in this process: all of the mount but the kernel's side. */
import assert from 'node:assert/strict';
import { type Access, openUrl } from '../src/collection/access.js';
import { decodeExtents, type Extent } from '../src/index/extents.js';
import { Index } from '../src/index/index.js';
import { Errno, ROOT_INO } from '../src/mount/driver.js';
import { SnapshotFileSystem } from '../src/mount/filesystem.js';
import { wholeListing } from '../src/mount/parts.js';
import { snapshotNames } from '../src/snapshots/names.js';
import { openSnapshots } from '../src/snapshots/open.js';

/** Content by path; null: EIO. */
export type Seen = Map<string, Buffer | null>;

export interface View {
	/** Snapshots that are shown. */
	readonly count: number;
	/** What was said at opening. */
	readonly notes: readonly string[];
	/** What the mount's log says. */
	readonly log: readonly string[];
	/** All files of the snapshot of this number. */
	read(snapshot: number): Promise<Seen>;
	/** Names of the objects that a file's bytes lie in; only after it was read. */
	objectsOf(snapshot: number, path: string): Set<string>;
	close(): void;
}

const CHUNK = 2 ** 17;

/** Keys and caches are found through the environment. @throws as `openSnapshots` */
export async function openView(url: string): Promise<View> {
	const access = await openUrl(url);
	const notes: string[] = [];
	const log: string[] = [];
	const { snapshots, unusable, close } = await openSnapshots(access, {
		note: (message) => notes.push(message),
		taken: () => {},
	});
	notes.push(...unusable.map(({ reason }) => reason));
	const fs = new SnapshotFileSystem([{ name: 'all', snapshots }], { log: (message) => log.push(message) });
	const sets = snapshots.sets();
	const names = snapshotNames(sets);
	const folder = async (snapshot: number) => {
		const named = names.find(({ set }) => set === sets[snapshot]);
		assert.ok(named);
		return (await fs.lookup(ROOT_INO, Buffer.from(named.name))).ino;
	};
	return {
		count: sets.length,
		notes,
		log,
		read: async (snapshot) => {
			const seen: Seen = new Map();
			await readFolder(fs, await folder(snapshot), '', seen);
			return seen;
		},
		objectsOf: (snapshot, path) => {
			const set = sets[snapshot];
			const entry = set && snapshots.find(set, Buffer.from(path));
			assert.ok(set && entry);
			return objectsOf(access, set.chain, set.time, entry.node);
		},
		close,
	};
}

async function readFolder(fs: SnapshotFileSystem, ino: number, above: string, seen: Seen): Promise<void> {
	for (const { name, ino: child, type } of await wholeListing(fs, ino)) {
		const path = above + name;
		if (type === 'dir') await readFolder(fs, child, `${path}/`, seen);
		else if (type === 'file') seen.set(path, await readFile(fs, ino, name));
	}
}

/** As `cat` does: a look at the file, then reads up to its size. */
async function readFile(fs: SnapshotFileSystem, parent: number, name: Buffer): Promise<Buffer | null> {
	try {
		const { ino, size } = await fs.lookup(parent, name);
		const { handle } = await fs.open(ino);
		const chunks: Buffer[] = [];
		for (let offset = 0; offset < size; offset += CHUNK) {
			chunks.push(...(await fs.read(handle, offset, Math.min(CHUNK, size - offset))));
		}
		assert.deepEqual(await fs.read(handle, size, CHUNK), [], 'nothing follows the end');
		await fs.release(handle);
		const bytes = Buffer.concat(chunks);
		assert.equal(bytes.length, size);
		return bytes;
	} catch (error) {
		if (error instanceof Errno && error.code === 'EIO') return null;
		throw error;
	}
}

function objectsOf({ cacheDir }: Access, chain: number, time: number, node: number): Set<string> {
	const index = new Index(`${cacheDir}/index.sqlite`);
	const versions = index.db
		.prepare(
			'SELECT extents, delta FROM versions WHERE node = ? AND chain = ? AND first <= ? ORDER BY first DESC',
		)
		.all(node, chain, time) as { extents: Buffer | null; delta: Buffer | null }[];
	const names = new Set<string>();
	const name = index.db
		.prepare(
			`SELECT name FROM foreign_objects WHERE id = :id
			UNION SELECT name FROM volumes WHERE id = :id AND kind <> 'copy'`,
		)
		.pluck();
	for (const version of versions) {
		const extents = decodeExtents(version.extents ?? Buffer.alloc(0));
		const delta = decodeExtents(version.delta ?? Buffer.alloc(0));
		for (const { volume } of [...extents, ...delta]) names.add(name.get({ id: volume }) as string);
		// What is no literal of its own delta comes from the version before.
		const isLiteral = (extent: Extent) =>
			delta.some(
				({ volume, offset, length }) =>
					volume === extent.volume && offset <= extent.offset && extent.offset < offset + length,
			);
		if (!version.delta || extents.every(isLiteral)) break;
	}
	index.close();
	return names;
}
