/** Finds out what of an interrupted run can be kept, by the journal that checkpoints.ts wrote, and gives it out again in order. */
import type { FileChange, ManifestPath } from '../collection/manifest.js';
import { volumeNumber } from '../index/extents.js';
import { parseLine, type SegmentLine } from '../index/segment.js';
import type { StoredVolume } from '../volume/frame.js';
import {
	type CompleteVolume,
	type Kept,
	type KeptEntry,
	type Noted,
	type PathJson,
	type StoredPiece,
	VERSION,
} from './checkpoints.js';
import { readJournal } from './journal.js';

const NOTHING: Kept = { volumes: [], finished: 0, pieces: [] };

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

function fromJson([path, block]: PathJson): ManifestPath {
	return { path: Buffer.from(path, 'base64'), block };
}
