/**
 * What the index knows of objects that cannot be read from the middle because duplicity wrote them: which volumes may
 * hold a path, and, once a volume was read, where in it the bodies of its files lie.
 */
import { type Extent, encodeExtents, pushExtent, totalLength, volumeId } from './extents.js';
import type { Index } from './index.js';
import { Nodes } from './nodes.js';
import type { ObjectForm } from './plain.js';

export interface ForeignObject {
	readonly id: number;
	readonly setTime: number;
	readonly name: string;
	/** Bytes. */
	readonly size: number;
	readonly form: ObjectForm;
	/** Hex, from the manifest; null when it says nothing. */
	readonly sha1: string | null;
	/** Of a volume: its members are in the index. */
	readonly indexed: boolean;
}

/** First and last path in a volume, relative to the source. */
export interface PathRange {
	readonly first: Buffer;
	readonly last: Buffer;
}

/** The body of a regular file, or of its delta, or a piece of one, in a volume's tar. */
export interface Member {
	readonly path: Buffer;
	readonly delta: boolean;
	/** From 1; null: in one piece. */
	readonly piece: number | null;
	readonly offset: number;
	readonly length: number;
}

const COLUMNS = 'id, set_time AS setTime, name, size, form, sha1, indexed';

export function addForeign(
	{ db }: Index,
	object: Omit<ForeignObject, 'indexed'>,
	range: PathRange | null,
): void {
	db.prepare('INSERT OR REPLACE INTO foreign_objects VALUES (?, ?, ?, ?, ?, ?, ?, ?, 0)').run(
		...[object.id, object.setTime, object.name, object.size, object.form, object.sha1],
		...(range ? [orderKey(range.first), orderKey(range.last)] : [null, null]),
	);
}

export function foreignObject({ db }: Index, id: number): ForeignObject | undefined {
	return toObject(db.prepare(`SELECT ${COLUMNS} FROM foreign_objects WHERE id = ?`).get(id));
}

/** Every volume of a set. */
export function foreignVolumes({ db }: Index, setTime: number): ForeignObject[] {
	const rows = db.prepare(
		`SELECT ${COLUMNS} FROM foreign_objects WHERE set_time = ? AND id <> ? ORDER BY id`,
	);
	return rows.all(setTime, volumeId(setTime, 0)).map((row) => toObject(row) as ForeignObject);
}

/** The volumes of a set that may hold the body of the regular file at `path`, in order. */
export function volumesWith({ db }: Index, setTime: number, path: Buffer): ForeignObject[] {
	const key = orderKey(path);
	const rows = db.prepare(
		`SELECT ${COLUMNS} FROM foreign_objects WHERE set_time = ? AND id <> ?
		AND (first_path IS NULL OR (first_path <= ? AND last_path >= ?)) ORDER BY id`,
	);
	return rows.all(setTime, volumeId(setTime, 0), key, key).map((row) => toObject(row) as ForeignObject);
}

/** Notes where the bodies of a volume's files lie. Members that no version of the set asks for are left out. */
export function recordMembers(index: Index, object: ForeignObject, members: readonly Member[]): void {
	const { db } = index;
	const chain = chainOf(index, object.setTime);
	const nodes = new Nodes(index);
	const addPiece = db.prepare('INSERT OR REPLACE INTO pieces VALUES (?, ?, ?, ?, ?, ?, ?)');
	for (const group of byPath(members)) {
		const { path } = group[0] as Member;
		const node = nodes.of(path);
		// Only a volume's first and last file can go on in another one.
		const isInside = group[0] !== members[0] && group.at(-1) !== members.at(-1);
		const isWhole = group[0]?.piece === null || isVouchedFor(object);
		if (isInside || (isWhole && volumesWith(index, object.setTime, path).length <= 1)) {
			setBody(index, chain, object.setTime, node, group, object.id);
			continue;
		}
		for (const { piece, offset, length, delta } of group) {
			addPiece.run(node, object.setTime, piece ?? 0, object.id, offset, length, delta ? 1 : 0);
		}
	}
	db.prepare('UPDATE foreign_objects SET indexed = 1 WHERE id = ?').run(object.id);
}

/** Notes the sizes of files that a set changed. */
export function recordSizes(
	index: Index,
	setTime: number,
	sizes: readonly { path: Buffer; size: number }[],
): void {
	const nodes = new Nodes(index);
	const chain = chainOf(index, setTime);
	const update = index.db.prepare('UPDATE versions SET size = ? WHERE node = ? AND chain = ? AND first = ?');
	for (const { path, size } of sizes) update.run(size, nodes.of(path), chain, setTime);
}

function chainOf({ db }: Index, setTime: number): number {
	return db.prepare('SELECT chain FROM sets WHERE time = ?').pluck().get(setTime) as number;
}

/**
 * The pieces that await their joining as far as they are a file's content: bytes in all of them, and whether they are all
 * there is (else the file's signature must tell). null when there are none.
 */
export function pendingContent(
	index: Index,
	setTime: number,
	node: number,
): { length: number; complete: boolean } | null {
	const rows = index.db
		.prepare('SELECT volume, length FROM pieces WHERE node = ? AND set_time = ? AND delta = 0')
		.all(node, setTime) as { volume: number; length: number }[];
	if (rows.length === 0) return null;
	const last = foreignObject(index, Math.max(...rows.map(({ volume }) => volume)));
	const length = rows.reduce((sum, row) => sum + row.length, 0);
	return { length, complete: last !== undefined && isVouchedFor(last) };
}

/**
 * Whether the path ranges in the manifest are sure to be what was written. One that is not encrypted carries no digest of
 * itself: a bit in it may hide that a file goes on in the next volume.
 */
function isVouchedFor({ form, sha1 }: ForeignObject): boolean {
	return form === 'gpg' && sha1 !== null;
}

/** Puts together the pieces of a file, now that every volume that may hold one is indexed. */
export function joinPieces(index: Index, chain: number, setTime: number, node: number): void {
	const rows = index.db
		.prepare(
			`SELECT piece, volume, offset, length, delta FROM pieces
			WHERE node = ? AND set_time = ? ORDER BY piece`,
		)
		.all(node, setTime) as { piece: number; volume: number; offset: number; length: number; delta: number }[];
	if (rows.length === 0) return;
	const parts = rows.map((row) => ({ ...row, piece: row.piece || null, delta: row.delta === 1 }));
	setBody(index, chain, setTime, node, parts, null);
	index.db.prepare('DELETE FROM pieces WHERE node = ? AND set_time = ?').run(node, setTime);
}

/** The same for every file of a set, if all of its volumes are indexed. */
export function joinAllPieces(index: Index, setTime: number): void {
	if (!foreignVolumes(index, setTime).every((volume) => volume.indexed)) return;
	const nodes = index.db.prepare('SELECT DISTINCT node FROM pieces WHERE set_time = ?').pluck().all(setTime);
	for (const node of nodes as number[]) joinPieces(index, chainOf(index, setTime), setTime, node);
}

interface Part extends Omit<Member, 'path'> {
	readonly volume?: number;
}

/** @param volume of all the parts; null: each says its own */
function setBody(
	{ db }: Index,
	chain: number,
	setTime: number,
	node: number,
	parts: readonly Part[],
	volume: number | null,
): void {
	const extents: Extent[] = [];
	for (const [i, part] of parts.entries()) {
		// A file with a gap must not look like a whole one: it stays unknown, which reads as damage.
		if ((part.piece ?? 1) !== i + 1) return;
		pushExtent(extents, {
			length: part.length,
			volume: volume ?? (part.volume as number),
			offset: part.offset,
		});
	}
	const body = encodeExtents(extents);
	if (parts[0]?.delta) {
		db.prepare('UPDATE versions SET delta = ? WHERE node = ? AND chain = ? AND first = ?').run(
			...[body, node, chain, setTime],
		);
	} else {
		db.prepare('UPDATE versions SET size = ?, extents = ? WHERE node = ? AND chain = ? AND first = ?').run(
			...[totalLength(extents), body, node, chain, setTime],
		);
	}
}

function* byPath(members: readonly Member[]): Generator<Member[]> {
	let group: Member[] = [];
	for (const member of members) {
		if (group.length > 0 && !member.path.equals((group[0] as Member).path)) {
			yield group;
			group = [];
		}
		group.push(member);
	}
	if (group.length > 0) yield group;
}

function toObject(row: unknown): ForeignObject | undefined {
	if (!row) return undefined;
	const object = row as Omit<ForeignObject, 'indexed'> & { indexed: number };
	return { ...object, indexed: object.indexed === 1 };
}

/** Bytes whose plain order is duplicity's order of paths: the separator sorts before everything. */
function orderKey(path: Buffer): Buffer {
	return Buffer.from(path.map((byte) => (byte === 47 ? 0 : byte)));
}
