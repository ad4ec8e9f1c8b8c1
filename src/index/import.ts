/**
 * Takes a segment into the index. Its lines come in the order they were written: `set` first, entries in tuple order
 * of their paths, `end` last.
 */
import { parseName } from '../collection/names.js';
import { DamageError } from '../errors.js';
import { totalLength, volumeSetTime } from './extents.js';
import type { Index } from './index.js';
import { parseLine, type SegmentLine } from './segment.js';
import { inTransaction, type ObjectKey, SetImport, type SetRow } from './set-import.js';
import type { Stamps } from './stamps.js';

/**
 * @param chunks the segment's decrypted bytes; authentic only when the iterator ends without error
 * @throws DamageError when the segment is damaged, cut off or not of `setTime`; nothing is changed then
 */
export function importSegment(
	index: Index,
	setTime: number,
	chunks: AsyncIterable<Buffer>,
	key: ObjectKey | null,
	stamps: Stamps | null,
): Promise<void> {
	return inTransaction(index, setTime, () =>
		readSegment(setTime, chunks, (set) => new SetImport(index, set, key, stamps)),
	);
}

/** What a segment says is told to this. */
export type SegmentSink = Pick<SetImport, 'entry' | 'deleted' | 'volume'>;

/**
 * @param begin is told of the set first
 * @throws DamageError as `importSegment`; only when this has ended is what was told whole
 */
export async function readSegment(
	setTime: number,
	chunks: AsyncIterable<Buffer>,
	begin: (set: SetRow) => SegmentSink,
): Promise<void> {
	const reader = new SegmentReader(setTime, begin);
	for await (const line of lines(chunks)) reader.add(parseLine(line));
	reader.end();
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

class SegmentReader {
	readonly #setTime: number;
	readonly #begin: (set: SetRow) => SegmentSink;
	#set: SegmentSink | null = null;
	#entries = 0;
	#ended = false;

	constructor(setTime: number, begin: (set: SetRow) => SegmentSink) {
		this.#setTime = setTime;
		this.#begin = begin;
	}

	add(line: SegmentLine): void {
		if (this.#ended) throw new DamageError('An index segment goes on after its end.');
		if (line.kind === 'set') this.#start(line.set);
		else if (!this.#set) throw new DamageError('An index segment does not begin with its set.');
		else if (line.kind === 'entry') this.#entry(this.#set, line);
		else if (line.kind === 'deleted') this.#deleted(this.#set, line.path);
		else if (line.kind === 'volume') this.#volume(this.#set, line);
		else this.#finish(line.entries);
	}

	end(): void {
		if (!this.#ended) throw new DamageError('An index segment is cut off.');
	}

	#start(set: Extract<SegmentLine, { kind: 'set' }>['set']): void {
		if (this.#set || set.time !== this.#setTime) {
			throw new DamageError('An index segment is not of the set that its name says.');
		}
		this.#set = this.#begin(set);
	}

	#entry(
		set: SegmentSink,
		{ path, metadata, extents, delta, signature }: Extract<SegmentLine, { kind: 'entry' }>,
	): void {
		if (metadata.type === 'file' && !delta && totalLength(extents) !== metadata.size) {
			throw new DamageError('An index segment holds a file whose extents do not add up to its size.');
		}
		set.entry(path, metadata, { size: metadata.size, extents: delta ? null : extents, delta }, signature);
		this.#entries++;
	}

	#deleted(set: SegmentSink, path: Buffer): void {
		set.deleted(path);
		this.#entries++;
	}

	#volume(set: SegmentSink, { id, volume }: Extract<SegmentLine, { kind: 'volume' }>): void {
		// The name becomes part of a path in the cache: only what tsdup itself would write is taken.
		if (volumeSetTime(id) !== this.#setTime || parseName(volume.name)?.time !== this.#setTime) {
			throw new DamageError('An index segment describes a volume that is not one of its set.');
		}
		set.volume(id, volume);
	}

	#finish(entries: number): void {
		if (entries !== this.#entries) throw new DamageError('An index segment lacks some of its entries.');
		this.#ended = true;
	}
}
