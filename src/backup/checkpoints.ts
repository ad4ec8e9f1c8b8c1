/**
 * What a run notes in its journal while it goes on: everything that it would need to go on after its last complete volume.
 * `Checkpoints` writes, `Interrupted` finds out what of an interrupted run can be kept, and gives it out again in order.
 */
import type { FileChange, ManifestPath, ManifestVolume } from '../collection/manifest.js';
import type { Metadata } from '../index/entry.js';
import { type Extent, volumeNumber } from '../index/extents.js';
import { formatLine, parseLine, type SegmentLine } from '../index/segment.js';
import type { StoredVolume } from '../volume/frame.js';
import { type Journal, readJournal } from './journal.js';

/** What was kept of a file does not fit what the file is now, though everything said that it is the same. */
export class CannotResume extends Error {}

/** A piece of a file that goes on in the piece after it. */
export interface StoredPiece {
	readonly path: Buffer;
	/** From 1. */
	readonly number: number;
	readonly extent: Extent;
	/** SHA-256 of its bytes, hex. */
	readonly digest: string;
	/** See `stampOf` in pieces.ts. */
	readonly stamp: string;
}

/** A volume that is durable on the target. */
export interface CompleteVolume {
	readonly manifest: ManifestVolume;
	readonly id: number;
	readonly stored: StoredVolume;
	/** Entries whose data ends in this volume or one before it. */
	readonly finished: number;
}

/** An entry whose data is on the target. */
export interface KeptEntry {
	readonly path: Buffer;
	/** null: deleted. */
	readonly metadata: Metadata | null;
	readonly extents: Extent[];
	readonly delta: Extent[] | null;
	readonly signature: Buffer | null;
	readonly change: FileChange | null;
	readonly effect: FileChange;
	/** null: not known, or deleted. */
	readonly stamp: number | null;
}

/** What is kept: everything up to the end of a volume. */
export interface Kept {
	readonly volumes: readonly CompleteVolume[];
	readonly finished: number;
	/** Of the file that the last volume ends in the middle of; in order. */
	readonly pieces: readonly StoredPiece[];
}

/** Of these lines; to be changed with them. */
const VERSION = '2 ';

const NOTHING: Kept = { volumes: [], finished: 0, pieces: [] };

/** What is noted of an entry besides its line in the segment. */
type Noted = Pick<KeptEntry, 'signature' | 'change' | 'effect' | 'stamp'>;

/** Each line begins with the letter of what it is. */
export class Checkpoints {
	readonly #journal: Journal;

	constructor(journal: Journal) {
		this.#journal = journal;
	}

	/** @param plan what is backed up and for whom: see `BackupOptions` */
	begin(plan: string): void {
		this.#journal.append(`B${JSON.stringify(VERSION + plan)}`);
	}

	/** In the order of the entries. `line` is that of the segment. */
	entry(line: Buffer, { signature, change, effect, stamp }: Noted): void {
		const head = `E${change ?? '-'} ${effect} ${signature?.toString('base64') ?? '-'} ${stamp ?? '-'} `;
		this.#journal.append(Buffer.concat([Buffer.from(head), line.subarray(0, -1)]));
	}

	piece({ path, ...rest }: StoredPiece): void {
		this.#journal.append(`P${JSON.stringify({ path: path.toString('base64'), ...rest })}`);
	}

	/** From here on the run can go on behind this volume, if those before it are complete, too. */
	async volume({ manifest, id, stored, finished }: CompleteVolume): Promise<void> {
		const { number, start, end, sha1 } = manifest;
		const facts = { number, start: toJson(start), end: toJson(end), sha1, finished };
		const line = formatLine({ kind: 'volume', id, volume: stored }).toString().trimEnd();
		this.#journal.append(`V${JSON.stringify(facts)}\t${line}`);
		await this.#journal.sync();
	}

	/** Everything noted so far that lies behind what is kept is void: it is stored again. */
	async keep({ volumes, finished }: Kept): Promise<void> {
		this.#journal.append(`K${JSON.stringify({ volumes: volumes.length, finished })}`);
		await this.#journal.sync();
	}

	/** Whether it could be written so far. */
	get usable(): boolean {
		return this.#journal.usable;
	}

	close(): void {
		this.#journal.close();
	}
}

export class Interrupted {
	readonly #path: string;
	readonly #key: Buffer;
	/** Bytes of the journal that are whole. */
	readonly end: number;
	readonly plan: string | null;
	readonly #volumes = new Map<number, CompleteVolume>();
	/** For each stretch between two `keep`s, up to which entry it counts. */
	readonly #limits: number[] = [Number.POSITIVE_INFINITY];

	/** @throws the system's error; DamageError when the journal is not one of this version */
	constructor(path: string, key: Buffer) {
		this.#path = path;
		this.#key = key;
		let plan: string | null = null;
		let entries = 0;
		const lines = readJournal(path, key);
		for (;;) {
			const { value, done } = lines.next();
			if (done) {
				this.end = value;
				break;
			}
			const rest = value.slice(1);
			if (value[0] === 'B') plan = planOf(JSON.parse(rest));
			else if (value[0] === 'E') entries++;
			else if (value[0] === 'V') this.#addVolume(rest);
			else if (value[0] === 'K') entries = this.#cut(JSON.parse(rest));
		}
		this.plan = plan;
		// A volume counts when everything that ends in it was noted, too.
		for (const [number, { finished }] of this.#volumes) if (finished > entries) this.#volumes.delete(number);
	}

	/**
	 * The longest beginning of the run that can be kept.
	 * @param isThere whether the target has the volume as it was written
	 * @param isSame whether the file is the one that was read
	 */
	kept(isThere: (volume: StoredVolume) => boolean, isSame: (file: StoredPiece) => boolean): Kept {
		let count = 0;
		for (let volume = this.#volumes.get(1); volume && isThere(volume.stored); ) {
			volume = this.#volumes.get(++count + 1);
		}
		while (count > 0) {
			const { manifest, finished } = this.#volumes.get(count) as CompleteVolume;
			const pieces = manifest.end.block === null ? [] : this.#piecesOf(manifest.end, count);
			const first = pieces[0];
			if (pieces.length === (manifest.end.block ?? 0) && (!first || isSame(first))) {
				const volumes = Array.from({ length: count }, (_, i) => this.#volumes.get(i + 1) as CompleteVolume);
				return { volumes, finished, pieces };
			}
			// A file in the middle of which another one ends is no place to go on: the volume before it may be.
			count = first ? volumeNumber(first.extent.volume) - 1 : count - 1;
		}
		return NOTHING;
	}

	/** The entries that are kept, in order. */
	*entries({ finished }: Kept): Generator<KeptEntry> {
		let stretch = 0;
		let number = 0;
		for (const line of readJournal(this.#path, this.#key)) {
			if (line[0] === 'K') {
				stretch++;
				number = Math.min(number, (JSON.parse(line.slice(1)) as { finished: number }).finished);
			}
			if (line[0] !== 'E') continue;
			number++;
			if (number <= Math.min(finished, this.#limits[stretch] as number)) yield toEntry(line.slice(1));
			// What the next stretch begins with is behind this.
			if (number > finished && stretch === this.#limits.length - 1) return;
		}
	}

	/** Read again from the journal: there may be very many, and those of one file are wanted. */
	#piecesOf({ path, block }: ManifestPath, lastVolume: number): StoredPiece[] {
		const wanted = `"path":"${path.toString('base64')}"`;
		let pieces: StoredPiece[] = [];
		const upTo = (volume: number) => pieces.filter(({ extent }) => volumeNumber(extent.volume) <= volume);
		for (const line of readJournal(this.#path, this.#key)) {
			if (line[0] === 'K') pieces = upTo((JSON.parse(line.slice(1)) as { volumes: number }).volumes);
			if (line[0] !== 'P' || !line.includes(wanted)) continue;
			const piece = JSON.parse(line.slice(1)) as Omit<StoredPiece, 'path'>;
			pieces.push({ ...piece, path });
		}
		return upTo(lastVolume).filter(({ number }, i) => number === i + 1 && number <= (block ?? 0));
	}

	#addVolume(text: string): void {
		const [facts = '', line = ''] = text.split('\t');
		const { number, start, end, sha1, finished } = JSON.parse(facts);
		const { id, volume } = parseLine(line) as Extract<SegmentLine, { kind: 'volume' }>;
		const manifest = { number, start: fromJson(start), end: fromJson(end), sha1 };
		this.#volumes.set(number, { manifest, id, stored: volume, finished });
	}

	/** @returns the number of entries that are left */
	#cut({ volumes, finished }: { volumes: number; finished: number }): number {
		for (const number of this.#volumes.keys()) if (number > volumes) this.#volumes.delete(number);
		this.#limits.forEach((limit, i) => {
			this.#limits[i] = Math.min(limit, finished);
		});
		this.#limits.push(Number.POSITIVE_INFINITY);
		return finished;
	}
}

function planOf(begin: string): string | null {
	return begin.startsWith(VERSION) ? begin.slice(VERSION.length) : null;
}

function toEntry(text: string): KeptEntry {
	const words = text.split(' ', 4);
	const [change = '', effect = '', signature = '', stamp = ''] = words;
	const line = parseLine(text.slice(words.join(' ').length + 1));
	const known: Noted = {
		signature: signature === '-' ? null : Buffer.from(signature, 'base64'),
		change: change === '-' ? null : (change as FileChange),
		effect: effect as FileChange,
		stamp: stamp === '-' ? null : Number(stamp),
	};
	if (line.kind === 'deleted') return { path: line.path, metadata: null, extents: [], delta: null, ...known };
	const { path, metadata, extents, delta } = line as Extract<SegmentLine, { kind: 'entry' }>;
	return { path, metadata, extents, delta, ...known };
}

type PathJson = [path: string, block: number | null];

function toJson({ path, block }: ManifestPath): PathJson {
	return [path.toString('base64'), block];
}

function fromJson([path, block]: PathJson): ManifestPath {
	return { path: Buffer.from(path, 'base64'), block };
}
