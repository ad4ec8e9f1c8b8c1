/** Inflates a stream piece by piece. The next piece is inflated on the thread pool while its reader works on the one before. */
import { ahead } from '../ahead.js';
import { DamageError } from '../errors.js';
import type { Inflater } from './inflater.js';

/** Bytes of a piece, at most. */
const LENGTH = 1 << 20;

export interface Piece {
	readonly bytes: Buffer;
	/** CRC-32 of it and all before it since the last state. */
	readonly crc: number;
	/** Bytes of the stream that are done with after it. */
	readonly taken: number;
	/** The inflater's after it, where that was asked for. */
	readonly state: Buffer | null;
}

export interface InflateOptions {
	/** A state is taken whenever so many bytes have come since the one before. */
	readonly markEvery?: number;
	/** A piece's memory is used again as soon as the next piece is asked for. */
	readonly reuse?: boolean;
}

/** @throws DamageError when the stream is garbled, cut off or followed by more; and what `compressed` throws */
export async function* inflate(
	compressed: AsyncIterable<Buffer>,
	inflater: Inflater,
	{ markEvery = Infinity, reuse = false }: InflateOptions = {},
): AsyncGenerator<Piece, void, void> {
	const input = ahead(compressed);
	// One that is being filled, one that the reader has.
	const rooms: Buffer[] = reuse ? [newRoom(), newRoom()] : [];
	let left: Buffer = Buffer.alloc(0);
	let taken = 0;
	let unmarked = 0;
	let isFull = false;
	let ended = false;

	const nextPiece = async (): Promise<Piece | null> => {
		for (;;) {
			if (left.length > 0 && ended) throw new DamageError('there are loose bytes after the compressed data');
			if (left.length === 0 && !isFull) {
				const chunk = await input.next();
				if (!chunk.done) left = chunk.value;
				else if (ended) return null;
				else throw new DamageError('the compressed data is damaged: it is cut off');
				continue;
			}
			const room = rooms[0] ?? newRoom();
			const done = await inflater.run(left, room);
			left = left.subarray(done.taken);
			taken += done.taken;
			ended = done.ended;
			isFull = done.made === LENGTH && !ended;
			if (done.made === 0) continue;
			rooms.reverse();
			unmarked += done.made;
			const state = unmarked < markEvery ? null : await inflater.mark();
			if (state) unmarked = 0;
			return { bytes: room.subarray(0, done.made), crc: done.crc, taken, state };
		}
	};

	let pending = nextPiece();
	try {
		for (let piece = await pending; piece !== null; piece = await pending) {
			pending = nextPiece();
			// It is waited for above; until then nobody listens to it.
			pending.catch(() => {});
			yield piece;
		}
	} finally {
		await pending.catch(() => {});
		await input.return();
	}
}

function newRoom(): Buffer {
	return Buffer.allocUnsafeSlow(LENGTH);
}
