/**
 * What a run notes in its journal while it goes on: everything that it would need to go on after its last complete volume.
 * interrupted.ts reads it.
 */
import type { FileChange, ManifestPath, ManifestVolume } from '../collection/manifest.js';
import type { Metadata } from '../index/entry.js';
import type { Extent } from '../index/extents.js';
import { formatLine } from '../index/segment.js';
import type { StoredVolume } from '../volume/frame.js';
import type { Journal } from './journal.js';

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
export const VERSION = '2 ';

/** What is noted of an entry besides its line in the segment. */
export type Noted = Pick<KeptEntry, 'signature' | 'change' | 'effect' | 'stamp'>;

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

export type PathJson = [path: string, block: number | null];

function toJson({ path, block }: ManifestPath): PathJson {
	return [path.toString('base64'), block];
}
