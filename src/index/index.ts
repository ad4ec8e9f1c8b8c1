/**
 * Queries of the index database. Snapshots and backups read through this class; only `import.ts` and
 * `runs.ts` write. Every method is one indexed query and synchronous.
 */
import type Database from 'better-sqlite3';
import { DamageError } from '../errors.js';
import type { Frame, StoredVolume } from '../volume/frame.js';
import type { Entry, SignatureRef, SnapshotSet } from './entry.js';
import { ROOT_NODE } from './entry.js';
import { decodeExtents, type Extent } from './extents.js';
import { openDatabase } from './schema.js';

/** `last` of a version that its chain's newest set still shows. */
export const STILL_SHOWN = Number.MAX_SAFE_INTEGER;

const METADATA = `v.type, v.mode, v.uid, v.gid, v.uname, v.gname, v.mtime, v.mtime_ns AS mtimeNs, v.size, v.link,
	v.dev_major AS devMajor, v.dev_minor AS devMinor`;
const SHOWN = 'v.chain = ? AND v.first <= ? AND v.last >= ?';

interface VolumeRow {
	name: string;
	size: number;
	sha1: string;
	key: Buffer | null;
	body: number;
	tarLength: number;
}

export class Index {
	readonly db: Database.Database;
	readonly #list: Database.Statement;
	readonly #lookup: Database.Statement;
	readonly #entry: Database.Statement;
	readonly #extents: Database.Statement;
	readonly #signature: Database.Statement;

	constructor(path: string) {
		this.db = openDatabase(path);
		this.#list = this.db.prepare(
			`SELECT n.id AS node, n.name, ${METADATA} FROM nodes n JOIN versions v ON v.node = n.id
			WHERE n.parent = ? AND ${SHOWN} ORDER BY n.name`,
		);
		this.#lookup = this.db.prepare(
			`SELECT n.id AS node, n.name, ${METADATA} FROM nodes n JOIN versions v ON v.node = n.id
			WHERE n.parent = ? AND n.name = ? AND ${SHOWN}`,
		);
		this.#entry = this.db.prepare(
			`SELECT n.id AS node, n.name, ${METADATA} FROM versions v JOIN nodes n ON n.id = v.node
			WHERE v.node = ? AND ${SHOWN}`,
		);
		this.#extents = this.db.prepare(`SELECT v.extents FROM versions v WHERE v.node = ? AND ${SHOWN}`).pluck();
		this.#signature = this.db.prepare(
			`SELECT v.sig_volume AS volume, v.sig_offset AS offset, v.sig_length AS length
			FROM versions v WHERE v.node = ? AND ${SHOWN}`,
		);
	}

	/** Every set that can be shown, oldest first. */
	sets(): SnapshotSet[] {
		return this.db
			.prepare('SELECT id, kind, time, start, chain FROM sets ORDER BY time')
			.all() as SnapshotSet[];
	}

	/** A directory's entries, in bytewise order of their names. */
	list(set: SnapshotSet, directory: number): Entry[] {
		return this.#list.all(directory, set.chain, set.time, set.time) as Entry[];
	}

	lookup(set: SnapshotSet, directory: number, name: Buffer): Entry | undefined {
		return this.#lookup.get(directory, name, set.chain, set.time, set.time) as Entry | undefined;
	}

	entry(set: SnapshotSet, node: number): Entry | undefined {
		return this.#entry.get(node, set.chain, set.time, set.time) as Entry | undefined;
	}

	root(set: SnapshotSet): Entry | undefined {
		return this.entry(set, ROOT_NODE);
	}

	/** Where the bytes of a regular file lie. */
	extents(set: SnapshotSet, node: number): Extent[] {
		const bytes = this.#extents.get(node, set.chain, set.time, set.time) as Buffer | undefined;
		return bytes ? decodeExtents(bytes) : [];
	}

	/** Where a regular file's rsync signature lies; null when it is not known. */
	signature(set: SnapshotSet, node: number): SignatureRef | null {
		const row = this.#signature.get(node, set.chain, set.time, set.time) as
			| { [K in keyof SignatureRef]: number | null }
			| undefined;
		if (!row || row.volume === null || row.offset === null || row.length === null) return null;
		return { volume: row.volume, offset: row.offset, length: row.length };
	}

	/** How a volume is read. @throws DamageError when the index does not know it */
	volume(id: number): StoredVolume {
		const row = this.db
			.prepare('SELECT name, size, sha1, key, body, tar_length AS tarLength FROM volumes WHERE id = ?')
			.get(id) as VolumeRow | undefined;
		if (!row) throw new DamageError(`The index knows no volume ${id}: run \`tsdup index rebuild\`.`);
		const frames = this.db
			.prepare(
				`SELECT tar_offset AS tarOffset, tar_length AS tarLength, offset, length, digest
				FROM frames WHERE volume = ? ORDER BY tar_offset`,
			)
			.all(id) as Frame[];
		return { ...row, frames };
	}

	/** What `df` shows: entries and bytes of the newest version of everything in a set. */
	totals(set: SnapshotSet): { files: number; bytes: number } {
		return this.db
			.prepare(`SELECT count(*) AS files, coalesce(sum(v.size), 0) AS bytes FROM versions v WHERE ${SHOWN}`)
			.get(set.chain, set.time, set.time) as { files: number; bytes: number };
	}

	close(): void {
		this.db.close();
	}
}
