/**
 * Takes exact numbers of bytes from a stream of chunks. One reader owns its source: whoever makes it closes it in a
 * `finally`, which lets go of everything the source itself reads from.
 */
import { DamageError } from '../errors.js';

export class ByteReader {
	readonly #source: AsyncIterator<Buffer>;
	#chunk: Buffer = Buffer.alloc(0);

	constructor(source: AsyncIterable<Buffer>) {
		this.#source = source[Symbol.asyncIterator]();
	}

	/** Between 1 and `max` bytes, whatever is there first; null at the end. May be a view of the source's chunk. */
	async some(max: number): Promise<Buffer | null> {
		while (this.#chunk.length === 0) {
			const next = await this.#source.next();
			if (next.done) return null;
			this.#chunk = next.value;
		}
		const taken = this.#chunk.subarray(0, max);
		this.#chunk = this.#chunk.subarray(taken.length);
		return taken;
	}

	/** `n` bytes, or what is left when that is less; all held in memory. */
	async upTo(n: number): Promise<Buffer> {
		const pieces: Buffer[] = [];
		for (let missing = n; missing > 0; ) {
			const piece = await this.some(missing);
			if (piece === null) break;
			pieces.push(piece);
			missing -= piece.length;
		}
		const [only] = pieces;
		return pieces.length === 1 && only ? only : Buffer.concat(pieces);
	}

	/** Exactly `n` bytes. @throws DamageError when the source ends before */
	async exactly(n: number): Promise<Buffer> {
		const bytes = await this.upTo(n);
		if (bytes.length < n) throw truncated();
		return bytes;
	}

	/** Puts back the bytes that were taken last. */
	unread(bytes: Buffer): void {
		this.#chunk = Buffer.concat([bytes, this.#chunk]);
	}

	/** All that is left, and closes. */
	async *rest(): AsyncGenerator<Buffer, void, void> {
		try {
			for (let piece = await this.some(Infinity); piece !== null; piece = await this.some(Infinity))
				yield piece;
		} finally {
			await this.close();
		}
	}

	async close(): Promise<void> {
		await this.#source.return?.();
	}
}

export function truncated(): DamageError {
	return new DamageError('the OpenPGP message is cut off: it ends inside a packet');
}
