/**
 * Takes a segment's lines into the database, in one transaction: afterwards the set can be shown, before not.
 * Lines come in the order they were written: `set` first, entries in tuple order of their paths, `end` last.
 */
import type { Statement } from 'better-sqlite3';
import { parseName } from '../collection/names.js';
import { DamageError } from '../errors.js';
import type { StoredVolume } from '../volume/frame.js';
import { ROOT_NODE } from './entry.js';
import { encodeExtents, totalLength, volumeSetTime } from './extents.js';
import { type Index, STILL_SHOWN } from './index.js';
import { parseLine, type SegmentLine } from './segment.js';

/** The segment's own protection, kept so that a passphrase can be checked without asking the target. */
export interface SegmentKey {
	header: Buffer;
	key: Buffer;
}

/**
 * @param chunks the segment's decrypted bytes; authentic only when the iterator ends without error
 * @throws DamageError when the segment is damaged, cut off or not of `setTime`; nothing is changed then
 */
export async function importSegment(
	index: Index,
	setTime: number,
	chunks: AsyncIterable<Buffer>,
	key: SegmentKey | null,
): Promise<void> {
	const { db } = index;
	db.exec('BEGIN IMMEDIATE');
	try {
		if (!db.prepare('SELECT 1 FROM sets WHERE time = ?').get(setTime)) {
			const importer = new Importer(index, setTime, key);
			for await (const line of lines(chunks)) importer.add(parseLine(line));
			importer.end();
		}
		db.exec('COMMIT');
	} catch (error) {
		db.exec('ROLLBACK');
		throw error;
	}
}

async function* lines(chunks: AsyncIterable<Buffer>): AsyncIterable<string> {
	let rest = Buffer.alloc(0);
	for await (const chunk of chunks) {
		let start = 0;
		for (let end = chunk.indexOf(10); end >= 0; end = chunk.indexOf(10, start)) {
			const tail = chunk.subarray(start, end);
			yield (rest.length ? Buffer.concat([rest, tail]) : tail).toString('utf8');
			rest = Buffer.alloc(0);
			start = end + 1;
		}
		rest = Buffer.concat([rest, chunk.subarray(start)]);
	}
	if (rest.length) throw new DamageError('An index segment is cut off.');
}

class Importer {
	readonly #setTime: number;
	readonly #key: SegmentKey | null;
	readonly #index: Index;
	readonly #addNode: Statement;
	readonly #findNode: Statement;
	readonly #close: Statement;
	readonly #addVersion: Statement;
	/** Node ids of the components of the path before: the next one shares most of them. */
	#names: Buffer[] = [];
	#nodes: number[] = [];
	#set: { start: number | null; chain: number } | null = null;
	#entries = 0;
	#ended = false;

	constructor(index: Index, setTime: number, key: SegmentKey | null) {
		this.#index = index;
		this.#setTime = setTime;
		this.#key = key;
		const { db } = index;
		this.#findNode = db.prepare('SELECT id FROM nodes WHERE parent = ? AND name = ?').pluck();
		this.#addNode = db.prepare('INSERT INTO nodes (parent, name) VALUES (?, ?)');
		this.#close = db.prepare(
			`UPDATE versions SET last = ? WHERE node = ? AND chain = ? AND last = ${STILL_SHOWN}`,
		);
		this.#addVersion = db.prepare(
			`INSERT INTO versions VALUES (?, ?, ?, ${STILL_SHOWN}, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
		);
	}

	add(line: SegmentLine): void {
		if (this.#ended) throw new DamageError('An index segment goes on after its end.');
		if (line.kind === 'set') this.#begin(line.set);
		else if (!this.#set) throw new DamageError('An index segment does not begin with its set.');
		else if (line.kind === 'entry') this.#addEntry(line, this.#set);
		else if (line.kind === 'deleted') this.#delete(line.path, this.#set);
		else if (line.kind === 'volume') this.#addVolume(line.id, line.volume);
		else this.#finish(line.entries);
	}

	end(): void {
		if (!this.#ended) throw new DamageError('An index segment is cut off.');
	}

	#begin(set: { kind: string; time: number; start: number | null; chain: number }): void {
		if (this.#set || set.time !== this.#setTime) {
			throw new DamageError('An index segment is not of the set that its name says.');
		}
		this.#set = set;
		this.#index.db
			.prepare(
				'INSERT INTO sets (time, kind, start, chain, segment_header, segment_key) VALUES (?, ?, ?, ?, ?, ?)',
			)
			.run(set.time, set.kind, set.start, set.chain, this.#key?.header ?? null, this.#key?.key ?? null);
	}

	#addEntry(
		{ path, metadata: m, extents, signature }: Extract<SegmentLine, { kind: 'entry' }>,
		set: { start: number | null; chain: number },
	): void {
		if (m.type === 'file' && totalLength(extents) !== m.size) {
			throw new DamageError('An index segment holds a file whose extents do not add up to its size.');
		}
		const node = this.#node(path);
		this.#closeVersion(node, set);
		this.#addVersion.run(
			node,
			set.chain,
			this.#setTime,
			m.type,
			m.mode,
			m.uid,
			m.gid,
			m.uname,
			m.gname,
			m.mtime,
			m.mtimeNs,
			m.size,
			m.link,
			m.devMajor,
			m.devMinor,
			encodeExtents(extents),
			signature?.volume ?? null,
			signature?.offset ?? null,
			signature?.length ?? null,
		);
		this.#entries++;
	}

	#delete(path: Buffer, set: { start: number | null; chain: number }): void {
		this.#closeVersion(this.#node(path), set);
		this.#entries++;
	}

	/** The version before was shown up to the set that this one builds on. */
	#closeVersion(node: number, set: { start: number | null; chain: number }): void {
		if (set.start !== null) this.#close.run(set.start, node, set.chain);
	}

	#addVolume(id: number, volume: StoredVolume): void {
		const { db } = this.#index;
		// The name becomes part of a path in the cache: only what tsdup itself would write is taken.
		if (volumeSetTime(id) !== this.#setTime || parseName(volume.name)?.time !== this.#setTime) {
			throw new DamageError('An index segment describes a volume that is not one of its set.');
		}
		db.prepare('INSERT INTO volumes VALUES (?, ?, ?, ?, ?, ?, ?, ?)').run(
			id,
			this.#setTime,
			volume.name,
			volume.size,
			volume.sha1,
			volume.key,
			volume.body,
			volume.tarLength,
		);
		const addFrame = db.prepare('INSERT INTO frames VALUES (?, ?, ?, ?, ?, ?)');
		for (const f of volume.frames) addFrame.run(id, f.tarOffset, f.tarLength, f.offset, f.length, f.digest);
	}

	#finish(entries: number): void {
		if (entries !== this.#entries) throw new DamageError('An index segment lacks some of its entries.');
		this.#ended = true;
	}

	/** The node of a path, made when it is new. Names that no file can have are refused: they would leave the tree. */
	#node(path: Buffer): number {
		if (path.length === 0) return ROOT_NODE;
		const names = split(path);
		let depth = 0;
		while (depth < names.length && this.#names[depth]?.equals(names[depth] as Buffer)) depth++;
		this.#names.length = depth;
		this.#nodes.length = depth;
		for (; depth < names.length; depth++) {
			const name = names[depth] as Buffer;
			if (name.length === 0 || isDots(name) || name.includes(0)) {
				throw new DamageError('An index segment holds a path that no file can have.');
			}
			const parent = this.#nodes[depth - 1] ?? ROOT_NODE;
			let id = this.#findNode.get(parent, name) as number | undefined;
			id ??= Number(this.#addNode.run(parent, name).lastInsertRowid);
			this.#names.push(name);
			this.#nodes.push(id);
		}
		return this.#nodes[depth - 1] as number;
	}
}

function split(path: Buffer): Buffer[] {
	const names: Buffer[] = [];
	let start = 0;
	for (let slash = path.indexOf(47); slash >= 0; slash = path.indexOf(47, start)) {
		names.push(path.subarray(start, slash));
		start = slash + 1;
	}
	names.push(path.subarray(start));
	return names;
}

function isDots(name: Buffer): boolean {
	return name.equals(Buffer.from('.')) || name.equals(Buffer.from('..'));
}
