/**
 * Takes exact numbers of bytes from a stream of chunks. One reader owns its source: whoever makes it closes it in a
 * `finally`, which lets go of everything the source itself reads from.
 */
import { DamageError } from '../errors.js';

/** Bytes for which room is made at once: `n` may be what a hostile length says. */
const MANY = 1 << 20;

export class ByteReader {
	readonly #source: AsyncIterator<Buffer>;
	#chunk: Buffer = Buffer.alloc(0);
	/** Bytes taken so far. */
	position = 0;

	constructor(source: AsyncIterable<Buffer>) {
		this.#source = source[Symbol.asyncIterator]();
	}

	/** Of bytes that are all there. */
	static of(bytes: Buffer): ByteReader {
		return new ByteReader(
			(async function* () {
				yield bytes;
			})(),
		);
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
		this.position += taken.length;
		return taken;
	}

	/**
	 * `n` bytes, or what is left when that is less; all held in memory.
	 * @param into has room for them; absent: in memory of their own, or a view of the source's chunk
	 */
	async upTo(n: number, into?: Buffer): Promise<Buffer> {
		const first = await this.some(n);
		if (first === null || (first.length === n && !into)) return first ?? Buffer.alloc(0);
		// Copied at once: a source may use a chunk's memory again when it is asked for the next.
		let bytes = into ?? Buffer.allocUnsafe(Math.min(n, MANY));
		let filled = first.copy(bytes);
		while (filled < n) {
			const piece = await this.some(n - filled);
			if (piece === null) break;
			const needed = filled + piece.length;
			if (needed > bytes.length) bytes = Buffer.concat([bytes], Math.min(n, 2 * needed));
			filled += piece.copy(bytes, filled);
		}
		return bytes.subarray(0, filled);
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
		this.position -= bytes.length;
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
