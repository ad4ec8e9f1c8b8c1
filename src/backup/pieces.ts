/**
 * Cuts the data of one file, or of its delta, into tar entries. A file's size is only known when its end was read, and
 * a header stands before its data: so data is kept until a piece is full, and what is read is what the header says.
 */
import { type BigIntStats, fstatSync, lstatSync } from 'node:fs';
import type { Metadata } from '../index/entry.js';
import { type Extent, pushExtent } from '../index/extents.js';
import { CannotResume, type StoredPiece } from './checkpoints.js';
import { type Difftar, digestOf } from './difftar.js';

/** With its header a piece fills one frame's worth of tar, so a read of one piece needs at most two frames. */
export const PIECE_LENGTH = 2 ** 20 - 512;

/** The open file that pieces are of, and those of them that are on the target already, from the first on. */
export interface PieceFile {
	/** null: pieces of it are not gone on with. */
	readonly fd: number | null;
	readonly kept: readonly StoredPiece[];
}

export class PieceWriter {
	readonly #difftar: Difftar;
	readonly #kind: 'snapshot' | 'diff';
	readonly #path: Buffer;
	readonly #metadata: Metadata;
	readonly #file: PieceFile;
	readonly #extents: Extent[] = [];
	#kept: Buffer[] = [];
	#keptLength = 0;
	#pieces = 0;
	#stamp: string | null = null;

	constructor(
		difftar: Difftar,
		kind: 'snapshot' | 'diff',
		path: Buffer,
		metadata: Metadata,
		file: PieceFile,
	) {
		this.#file = file;
		this.#difftar = difftar;
		this.#kind = kind;
		this.#path = path;
		this.#metadata = metadata;
	}

	async write(bytes: Buffer): Promise<void> {
		if (bytes.length === 0) return;
		this.#kept.push(bytes);
		this.#keptLength += bytes.length;
		// Only what is longer than a piece is written: the last piece must be known as such.
		while (this.#keptLength > PIECE_LENGTH) await this.#writePiece(false);
	}

	/** @returns where the data lies */
	async finish(): Promise<Extent[]> {
		if (this.#file.kept.length > this.#pieces) throw new CannotResume('the file is shorter');
		if (this.#pieces > 0) {
			await this.#writePiece(true);
		} else {
			const body = this.#take(this.#keptLength);
			pushExtent(this.#extents, await this.#difftar.add(this.#kind, this.#path, this.#metadata, body));
		}
		return this.#extents;
	}

	async #writePiece(last: boolean): Promise<void> {
		const body = this.#take(Math.min(this.#keptLength, PIECE_LENGTH));
		const kept = this.#file.kept[this.#pieces++];
		if (kept) {
			if (last || kept.digest !== (await digestOf(body))) throw new CannotResume('the file has changed');
			pushExtent(this.#extents, kept.extent);
			return;
		}
		const { fd } = this.#file;
		this.#stamp ??= fd === null ? '' : stampOf(fd);
		const piece = { number: this.#pieces, last, stamp: this.#stamp };
		const kind = `multivol_${this.#kind}` as const;
		pushExtent(this.#extents, await this.#difftar.add(kind, this.#path, this.#metadata, body, piece));
	}

	#take(length: number): Buffer {
		const [first] = this.#kept;
		if (first?.length === length) {
			this.#kept.shift();
			this.#keptLength -= length;
			return first;
		}
		const all = Buffer.concat(this.#kept);
		this.#kept = all.length > length ? [all.subarray(length)] : [];
		this.#keptLength -= length;
		return all.subarray(0, length);
	}
}

/** What tells a file, and a state of it, from others, as far as the system says. */
export function stampOf(fd: number): string {
	return stamp(fstatSync(fd, { bigint: true }));
}

/** The same of a path; null when there is nothing. */
export function stampAt(path: Buffer): string | null {
	const stat = lstatSync(path, { bigint: true, throwIfNoEntry: false });
	return stat ? stamp(stat) : null;
}

/** Without the device: its number may be another one after a restart. */
function stamp({ ino, size, mtimeNs, ctimeNs }: BigIntStats): string {
	return [ino, size, mtimeNs, ctimeNs].join(' ');
}
