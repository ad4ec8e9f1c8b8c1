/**
 * Queries of the index database. Snapshots and backups read through this class; only `import.ts`,
 * `runs.ts` and `stamps.ts` write. Every method is one indexed query and synchronous.
 */
import type Database from 'better-sqlite3';
import type { Frame, StoredVolume } from '../volume/frame.js';
import type { Body, Entry, FormerEntry, ListedEntry, SignatureRef, SnapshotSet, StatEntry } from './entry.js';
import { ROOT_NODE } from './entry.js';
import { decodeExtents, type Extent } from './extents.js';
import { listedEntries, prepareListing } from './rows.js';
import { openDatabase } from './schema.js';

const FORMER = `v.type, v.mode, v.uid, v.gid, v.mtime, v.mtime_ns AS mtimeNs, v.size, v.dev_major AS devMajor,
	v.dev_minor AS devMinor, v.xattrs, v.hard_link AS hardLink, v.allocated, v.link, v.stamp`;
const METADATA = `${FORMER}, v.uname, v.gname`;
/** Files of a directory that `following` gives at most. */
const FOLLOWING = 256;
/** Entries of a directory that `listAfter` and `listStat` give at most. Written into the query: SQLite plans it anew each time a limit is bound. */
export const PAGE = 1000;

/** Nothing for a set that was deleted meanwhile, although the set before it may still show the same versions. */
const SHOWN = 'v.chain = ? AND v.first <= ? AND v.last >= (SELECT time FROM sets WHERE time = ?)';

export interface VersionBody extends Body {
	/** Time of the set that brought this version, s. */
	readonly first: number;
}

interface VolumeRow {
	name: string;
	size: number;
	sha1: string;
	key: Buffer | null;
	body: number;
	tarLength: number;
	kind: VolumeKind;
}

/** `own`; `foreign`: duplicity's, its frames have seek points; `copy`: of a foreign volume, in this host's cache. */
export type VolumeKind = 'own' | 'foreign' | 'copy';

/** A volume that can be read from the middle, and how. */
export interface LocatedVolume extends StoredVolume {
	readonly kind: VolumeKind;
}

export class Index {
	readonly db: Database.Database;
	readonly #list: Database.Statement;
	/** Only mounts need it. */
	#listing: Database.Statement | undefined;
	readonly #listAfter: Database.Statement;
	readonly #lookup: Database.Statement;
	readonly #entry: Database.Statement;
	readonly #body: Database.Statement;
	readonly #bodyAt: Database.Statement;
	readonly #bodyBefore: Database.Statement;
	readonly #signature: Database.Statement;
	readonly #following: Database.Statement;
	readonly #names: Database.Statement;

	constructor(path: string) {
		this.db = openDatabase(path);
		const list = (columns: string) =>
			this.db.prepare(
				`SELECT n.id AS node, n.name, ${columns} FROM nodes n JOIN versions v ON v.node = n.id
				WHERE n.parent = ? AND ${SHOWN} ORDER BY n.name`,
			);
		this.#list = list(METADATA);
		this.#listAfter = this.db
			.prepare(
				`SELECT n.id AS node, n.name, ${FORMER} FROM nodes n JOIN versions v ON v.node = n.id
				WHERE n.parent = ? AND n.name > ? AND ${SHOWN} ORDER BY n.name LIMIT ${PAGE}`,
			)
			.raw();
		this.#lookup = this.db.prepare(
			`SELECT n.id AS node, n.name, ${METADATA} FROM nodes n JOIN versions v ON v.node = n.id
			WHERE n.parent = ? AND n.name = ? AND ${SHOWN}`,
		);
		this.#entry = this.db.prepare(
			`SELECT n.id AS node, n.name, ${METADATA} FROM versions v JOIN nodes n ON n.id = v.node
			WHERE v.node = ? AND ${SHOWN}`,
		);
		this.#body = this.db.prepare(
			`SELECT v.first, v.size, v.extents, v.delta FROM versions v WHERE v.node = ? AND ${SHOWN}`,
		);
		this.#bodyAt = this.db.prepare(
			'SELECT first, size, extents, delta FROM versions WHERE node = ? AND chain = ? AND first = ?',
		);
		this.#bodyBefore = this.db.prepare(
			`SELECT first, size, extents, delta FROM versions
			WHERE node = ? AND chain = ? AND last = (SELECT start FROM sets WHERE time = ?)`,
		);
		this.#signature = this.db.prepare(
			`SELECT v.sig_volume AS volume, v.sig_offset AS offset, v.sig_length AS length
			FROM versions v WHERE v.node = ? AND ${SHOWN}`,
		);
		this.#names = this.db.prepare(
			`SELECT count(*) AS names, min(v.node) AS first FROM versions v WHERE v.hard_link = ? AND ${SHOWN}
			AND v.type = ? AND v.mode = ? AND v.uid = ? AND v.gid = ? AND v.mtime = ? AND v.mtime_ns IS ? AND v.size IS ?`,
		);
		this.#following = this.db.prepare(
			`SELECT n.id AS node, v.size, v.extents
			FROM nodes this JOIN nodes n ON n.parent = this.parent AND n.name >= this.name JOIN versions v ON v.node = n.id
			WHERE this.id = ? AND ${SHOWN} AND v.type = 'file' AND v.extents IS NOT NULL ORDER BY n.name LIMIT ${FOLLOWING}`,
		);
	}

	/** What is known of the contents of the regular files in a directory from a node on, in bytewise order of names; not all of them. */
	following(set: SnapshotSet, node: number): { node: number; size: number; extents: Extent[] }[] {
		const rows = this.#following.all(node, set.chain, set.time, set.time);
		return (rows as { node: number; size: number; extents: Buffer }[]).map((row) => {
			return { ...row, extents: decodeExtents(row.extents) };
		});
	}

	/** Changes whenever another process, or another connection of this one, has written to the index. */
	version(): number {
		return this.db.prepare('PRAGMA data_version').pluck().get() as number;
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

	/** The same with less of each, in a third of the time: at most PAGE entries behind the node `after`; 0 is before all. */
	listStat(set: SnapshotSet, directory: number, after: number): ListedEntry[] {
		this.#listing ??= prepareListing(this.db, SHOWN, PAGE);
		const { chain, time } = set;
		return listedEntries(this.#listing.get(directory, after, chain, time, time) as Buffer | null);
	}

	/** The same as `list`, in half the time: at most PAGE entries behind the name `after`; the empty one is before all. */
	listAfter(set: SnapshotSet, directory: number, after: Buffer): FormerEntry[] {
		return (this.#listAfter.all(directory, after, set.chain, set.time, set.time) as unknown[][]).map(
			toFormer,
		);
	}

	/** Whether any entry of any set has extended attributes. */
	hasXattrs(): boolean {
		return this.db.prepare('SELECT 1 FROM versions WHERE xattrs IS NOT NULL LIMIT 1').get() !== undefined;
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

	/** What is known of a regular file's content; undefined when the set does not show it. */
	body(set: SnapshotSet, node: number): VersionBody | undefined {
		return this.#toBody(this.#body.get(node, set.chain, set.time, set.time));
	}

	/** The same of the version that the set of time `first` brought. */
	bodyAt(node: number, chain: number, first: number): VersionBody | undefined {
		return this.#toBody(this.#bodyAt.get(node, chain, first));
	}

	/** The same of the version that the set of `first`, which brought another, was made against. */
	bodyBefore(node: number, chain: number, first: number): VersionBody | undefined {
		return this.#toBody(this.#bodyBefore.get(node, chain, first));
	}

	#toBody(row: unknown): VersionBody | undefined {
		if (!row) return undefined;
		const { first, size, extents, delta } = row as {
			first: number;
			size: number | null;
			extents: Buffer | null;
			delta: Buffer | null;
		};
		return { first, size, extents: extents && decodeExtents(extents), delta: delta && decodeExtents(delta) };
	}

	/** Where a regular file's rsync signature lies; null when it is not known. */
	signature(set: Pick<SnapshotSet, 'chain' | 'time'>, node: number): SignatureRef | null {
		const row = this.#signature.get(node, set.chain, set.time, set.time) as
			| { [K in keyof SignatureRef]: number | null }
			| undefined;
		if (!row || row.volume === null || row.offset === null || row.length === null) return null;
		return { volume: row.volume, offset: row.offset, length: row.length };
	}

	/** How a volume is read from the middle; undefined when it cannot be, or is not known. */
	volume(id: number): LocatedVolume | undefined {
		const row = this.db
			.prepare('SELECT name, size, sha1, key, body, tar_length AS tarLength, kind FROM volumes WHERE id = ?')
			.get(id) as VolumeRow | undefined;
		if (!row) return undefined;
		const frames = this.db
			.prepare(
				`SELECT tar_offset AS tarOffset, tar_length AS tarLength, offset, length, digest
				FROM frames WHERE volume = ? ORDER BY tar_offset`,
			)
			.all(id) as Frame[];
		return { ...row, frames };
	}

	/** How many names an entry's file has in a set, and the first of their nodes. @param entry with a `hardLink` */
	names(set: SnapshotSet, entry: StatEntry): { names: number; first: number } {
		const { hardLink, type, mode, uid, gid, mtime, mtimeNs, size } = entry;
		return this.#names.get(
			...[hardLink, set.chain, set.time, set.time],
			...[type, mode, uid, gid, mtime, mtimeNs, size],
		) as { names: number; first: number };
	}

	/** Whether the set with this `id` is still there. */
	hasSet(id: number): boolean {
		return this.db.prepare('SELECT 1 FROM sets WHERE id = ?').get(id) !== undefined;
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

/**
 * A row of node, name and the columns of FORMER. Rows as arrays take two thirds of the time of rows as objects, where there are many.
 */
function toFormer(row: readonly unknown[]): FormerEntry {
	return {
		node: row[0],
		name: row[1],
		type: row[2],
		mode: row[3],
		uid: row[4],
		gid: row[5],
		mtime: row[6],
		mtimeNs: row[7],
		size: row[8],
		devMajor: row[9],
		devMinor: row[10],
		xattrs: row[11],
		hardLink: row[12],
		allocated: row[13],
		link: row[14],
		stamp: row[15],
	} as FormerEntry;
}
