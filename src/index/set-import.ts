/**
 * Takes one set into the database, in one transaction: afterwards it can be shown, before not. What it takes comes from a
 * segment (import.ts) or from what duplicity wrote (foreign-import.ts).
 */
import type { Statement } from 'better-sqlite3';
import { UnsupportedError } from '../errors.js';
import type { StoredVolume } from '../volume/frame.js';
import { type Body, type Header, MOST_SETS, type SignatureRef, STILL_SHOWN } from './entry.js';
import { encodeExtents } from './extents.js';
import type { Index, VolumeKind } from './index.js';
import { Nodes } from './nodes.js';
import type { Stamps } from './stamps.js';

/** The protection of one of a set's objects, kept so that a passphrase can be checked without asking the target. */
export interface ObjectKey {
	header: Buffer;
	key: Buffer;
}

export interface SetRow {
	readonly kind: 'full' | 'inc';
	/** Seconds. */
	readonly time: number;
	readonly start: number | null;
	/** Time of the chain's full set. */
	readonly chain: number;
}

/** Notes of a set that it had no segment when it was taken in: one of tsdup's may get it later. */
export function awaitSegment({ db }: Index, setTime: number): void {
	db.prepare('UPDATE sets SET awaits_segment = 1 WHERE time = ?').run(setTime);
}

/** Times of such sets. */
export function awaitingSegments({ db }: Index): Set<number> {
	return new Set(db.prepare('SELECT time FROM sets WHERE awaits_segment').pluck().all() as number[]);
}

/** Runs `act` in a transaction, unless the set is known already. Whatever it throws undoes all of it. */
export async function inTransaction(index: Index, setTime: number, act: () => Promise<void>): Promise<void> {
	const { db } = index;
	db.exec('BEGIN IMMEDIATE');
	try {
		if (!db.prepare('SELECT 1 FROM sets WHERE time = ?').get(setTime)) await act();
		db.exec('COMMIT');
	} catch (error) {
		// A full disk has undone it already.
		if (db.inTransaction) db.exec('ROLLBACK');
		throw error;
	}
}

export class SetImport {
	readonly #set: SetRow;
	readonly #index: Index;
	readonly #nodes: Nodes;
	readonly #close: Statement;
	readonly #addVersion: Statement;
	readonly #stamps: Stamps | null;
	#taken = 0;

	/** @param stamps null: nobody here knows them */
	constructor(index: Index, set: SetRow, key: ObjectKey | null, stamps: Stamps | null = null) {
		this.#stamps = stamps;
		this.#index = index;
		this.#set = set;
		this.#nodes = new Nodes(index);
		const { db } = index;
		this.#close = db.prepare(
			`UPDATE versions SET last = ? WHERE node = ? AND chain = ? AND last = ${STILL_SHOWN}`,
		);
		this.#addVersion = db.prepare(
			`INSERT OR REPLACE INTO versions
			VALUES (?, ?, ?, ${STILL_SHOWN}, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
		);
		db.prepare(
			'INSERT INTO sets (id, time, kind, start, chain, key_header, session_key) VALUES (?, ?, ?, ?, ?, ?, ?)',
		).run(nextId(index), set.time, set.kind, set.start, set.chain, key?.header ?? null, key?.key ?? null);
	}

	/** @throws DamageError for a path that no file can have */
	entry(path: Buffer, h: Header, body: Body, signature: SignatureRef | null): void {
		const { chain, time } = this.#set;
		const node = this.#nodes.of(path);
		this.#closeVersion(node);
		// One by one: spreading arrays takes a tenth of the time of an import.
		this.#addVersion.run(
			node,
			chain,
			time,
			h.type,
			h.mode,
			h.uid,
			h.gid,
			h.uname,
			h.gname,
			h.mtime,
			h.mtimeNs,
			body.size,
			h.link,
			h.devMajor,
			h.devMinor,
			body.extents && encodeExtents(body.extents),
			body.delta && encodeExtents(body.delta),
			signature?.volume ?? null,
			signature?.offset ?? null,
			signature?.length ?? null,
			h.xattrs,
			h.hardLink,
			h.allocated,
			this.#stamps?.[this.#taken++] || null,
		);
	}

	/** A path that is not shown any more; one that never was is no error. @throws as `entry` */
	deleted(path: Buffer): void {
		this.#taken++;
		this.#closeVersion(this.#nodes.of(path));
	}

	volume(id: number, volume: StoredVolume): void {
		addVolume(this.#index, id, this.#set.time, volume, 'own');
	}

	/** The version before was shown up to the set that this one builds on. */
	#closeVersion(node: number): void {
		const { start, chain } = this.#set;
		if (start !== null) this.#close.run(start, node, chain);
	}
}

/** The id after the one that was given last, of those that are free. @throws UnsupportedError when none is */
function nextId({ db }: Index): number {
	const used = new Set(db.prepare('SELECT id FROM sets').pluck().all() as number[]);
	if (used.size >= MOST_SETS) throw new UnsupportedError(`it would be more than ${MOST_SETS} sets`);
	let id = db.prepare('SELECT id FROM last_id').pluck().get() as number;
	do id = (id % MOST_SETS) + 1;
	while (used.has(id));
	db.prepare('UPDATE last_id SET id = ?').run(id);
	return id;
}

export function addVolume(
	{ db }: Index,
	id: number,
	setTime: number,
	volume: StoredVolume,
	kind: VolumeKind,
): void {
	db.prepare('INSERT OR REPLACE INTO volumes VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)').run(
		...[id, setTime, volume.name, volume.size, volume.sha1, volume.key, volume.body, volume.tarLength],
		kind,
	);
	db.prepare('DELETE FROM frames WHERE volume = ?').run(id);
	const addFrame = db.prepare('INSERT INTO frames VALUES (?, ?, ?, ?, ?, ?)');
	for (const f of volume.frames) addFrame.run(id, f.tarOffset, f.tarLength, f.offset, f.length, f.digest);
}
