/**
 * Cuts the data of one file, or of its delta, into tar entries. A file's size is only known when its end was read, and
 * a header stands before its data: so data is kept until a piece is full, and what is read is what the header says.
 */
import type { Metadata } from '../index/entry.js';
import { type Extent, pushExtent } from '../index/extents.js';
import type { Difftar } from './difftar.js';

/** With its header a piece fills one frame's worth of tar, so a read of one piece needs at most two frames. */
export const PIECE_LENGTH = 2 ** 20 - 512;

export class PieceWriter {
	readonly #difftar: Difftar;
	readonly #kind: 'snapshot' | 'diff';
	readonly #path: Buffer;
	readonly #metadata: Metadata;
	readonly #extents: Extent[] = [];
	#kept: Buffer[] = [];
	#keptLength = 0;
	#pieces = 0;

	constructor(difftar: Difftar, kind: 'snapshot' | 'diff', path: Buffer, metadata: Metadata) {
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
		const piece = { number: ++this.#pieces, last };
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
