/**
 * What a directory shows, for listings: some of its rows at a time come out of SQLite as one BLOB, because an object for each of them,
 * and a value for each of their columns, would take three times as long as finding them (native/rows.cc).
 */
import type { Database, Statement } from 'better-sqlite3';
import { addonPath } from '../addon.js';
import type { EntryType, ListedEntry } from './entry.js';

const TYPES: readonly EntryType[] = ['file', 'dir', 'symlink', 'fifo', 'chardev', 'blockdev'];
const TYPE = `CASE v.type ${TYPES.map((type, i) => `WHEN '${type}' THEN ${i}`).join(' ')} END`;

/** Numbers of each entry. */
const COLUMNS = 13;
/** Bytes before them. */
const HEAD = 8;

/**
 * Its parameters: the directory's node, the node behind which it begins, and those of `shown`.
 * @param shown which of the versions
 * @param limit rows at most
 */
export function prepareListing(db: Database, shown: string, limit: number): Statement {
	db.loadExtension(addonPath('rows'));
	return db
		.prepare(
			`SELECT pack_rows(name, node, type, mode, uid, gid, mtime, mtime_ns, size, dev_major, dev_minor, has_xattrs, hard_link,
				allocated)
			FROM (SELECT n.name, n.id AS node, ${TYPE} AS type, v.mode, v.uid, v.gid, v.mtime, v.mtime_ns, v.size, v.dev_major,
				v.dev_minor, v.xattrs IS NOT NULL AS has_xattrs, v.hard_link, v.allocated
				FROM nodes n JOIN versions v ON v.node = n.id
				WHERE n.parent = ? AND n.name > coalesce((SELECT name FROM nodes WHERE id = ?), x'') AND ${shown}
				ORDER BY n.name LIMIT ${limit})`,
		)
		.pluck();
}

/** @param blob what such a statement gives; null: there are no rows */
export function listedEntries(blob: Buffer | null): ListedEntry[] {
	if (!blob) return [];
	const { buffer, byteOffset } = blob;
	const length = blob.readUInt32LE();
	const numbers = new Float64Array(buffer, byteOffset + HEAD, length * COLUMNS);
	const endsAt = HEAD + numbers.byteLength;
	const ends = new Uint32Array(buffer, byteOffset + endsAt, length);
	const names = blob.subarray(endsAt + ends.byteLength);
	return Array.from(ends, (end, i) => {
		const name = names.subarray(i === 0 ? 0 : ends[i - 1], end);
		return entryOf(name, numbers, i * COLUMNS);
	});
}

function entryOf(name: Buffer, numbers: Float64Array, at: number): ListedEntry {
	const number = (column: number) => numbers[at + column] as number;
	const orNull = (column: number) => (Number.isNaN(number(column)) ? null : number(column));
	return {
		name,
		node: number(0),
		type: TYPES[number(1)] as EntryType,
		mode: number(2),
		uid: number(3),
		gid: number(4),
		mtime: number(5),
		mtimeNs: orNull(6),
		size: orNull(7),
		devMajor: number(8),
		devMinor: number(9),
		hasXattrs: number(10) === 1,
		hardLink: orNull(11),
		allocated: orNull(12),
	};
}
