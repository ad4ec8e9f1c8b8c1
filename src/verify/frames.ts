/**
 * Reads a volume, or sigtar, that tsdup wrote as one stream and proves each of its frames, and the whole. Holds a few frames.
 */
import { Hash } from '../crypto/crypto.js';
import { DamageError } from '../errors.js';
import type { StoredVolume } from '../volume/frame.js';
import type { ObjectRange } from '../volume/layout.js';
import { decodeFrame, frameRange } from '../volume/reader.js';

/** Frames of an object that are decoded at once: the threads of libuv's pool. */
const IN_FLIGHT = 4;

/** Bytes of a volume's tar. */
export interface TarRun {
	readonly start: number;
	readonly end: number;
}

export interface CheckedVolume {
	/** Of the object as it is stored, hex. */
	readonly sha1: string;
	/** What cannot be read. */
	readonly damaged: readonly TarRun[];
}

/** @throws what `stored` throws */
export async function checkFrames(
	volume: StoredVolume,
	stored: AsyncIterable<Buffer>,
): Promise<CheckedVolume> {
	const hash = new Hash('sha1');
	let hashed = Promise.resolve();
	const window = new Window();
	const damaged: TarRun[] = [];
	const inFlight: Promise<void>[] = [];
	let next = 0;

	const check = async (i: number, bytes: Buffer | null) => {
		try {
			if (bytes) await decodeFrame(volume, i, bytes);
			else damaged.push(tarRun(volume, i));
		} catch (error) {
			if (!(error instanceof DamageError)) throw error;
			damaged.push(tarRun(volume, i));
		}
	};
	for await (const chunk of stored) {
		// While its frames are decoded; one chunk after the other.
		await hashed;
		hashed = hash.update(chunk);
		hashed.catch(() => {});
		window.add(chunk);
		for (; next < volume.frames.length; next++) {
			const range = frameRange(volume, next);
			window.forget(range.offset);
			if (window.end < range.offset + range.length) break;
			if (inFlight.length === IN_FLIGHT) await inFlight.shift();
			const checked = check(next, window.take(range));
			// It is waited for later; until then nobody listens to it.
			checked.catch(() => {});
			inFlight.push(checked);
		}
		if (next === volume.frames.length) window.forget(Infinity);
	}
	await Promise.all(inFlight);
	// Where the object ends too early.
	for (; next < volume.frames.length; next++) damaged.push(tarRun(volume, next));
	await hashed;
	return { sha1: hash.digest().toString('hex'), damaged: damaged.sort((a, b) => a.start - b.start) };
}

function tarRun(volume: StoredVolume, i: number): TarRun {
	const { tarOffset = 0, tarLength = 0 } = volume.frames[i] ?? {};
	return { start: tarOffset, end: tarOffset + tarLength };
}

/** The last bytes of a stream. */
class Window {
	/** Of all that came. */
	end = 0;
	#pieces: { readonly offset: number; readonly bytes: Buffer }[] = [];

	add(bytes: Buffer): void {
		this.#pieces.push({ offset: this.end, bytes });
		this.end += bytes.length;
	}

	/** What lies before `offset` is not asked for any more. */
	forget(offset: number): void {
		let first = 0;
		for (const piece of this.#pieces) {
			if (piece.offset + piece.bytes.length > offset) break;
			first++;
		}
		if (first > 0) this.#pieces = this.#pieces.slice(first);
	}

	/** null when some of it was forgotten, as only an index that was forged asks for. */
	take({ offset, length }: ObjectRange): Buffer | null {
		if (offset < (this.#pieces[0]?.offset ?? this.end)) return null;
		const parts: Buffer[] = [];
		for (const piece of this.#pieces) {
			const from = Math.max(offset - piece.offset, 0);
			const to = offset + length - piece.offset;
			if (to > 0 && from < piece.bytes.length) parts.push(piece.bytes.subarray(from, to));
		}
		return Buffer.concat(parts);
	}
}
