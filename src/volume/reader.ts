/**
 * Reads one frame of a stored volume. The content layer fetches `frameRange` from the target (or its cache) and hands
 * the bytes to `decodeFrame`; nothing here does I/O or keeps anything.
 */
import { DamageError } from '../errors.js';
import { unpack } from '../frames/frames.js';
import type { Frame, StoredVolume } from './frame.js';
import { type ObjectRange, objectRange, payloadRuns } from './layout.js';
import { MAX_PREFIX } from './literal.js';

/** Cipher block of AES, bytes. */
const BLOCK = 16;
/** Payload bytes before the ciphertext: the SEIPD packet's version octet. */
const VERSION_LENGTH = 1;

/** The index of the frame that holds the tar byte at `tarOffset`. @throws RangeError outside the tar */
export function frameAt(volume: StoredVolume, tarOffset: number): number {
	if (!(tarOffset >= 0 && tarOffset < volume.tarLength)) {
		throw new RangeError(`no byte ${tarOffset} in the ${volume.tarLength} bytes of ${volume.name}`);
	}
	let low = 0;
	let high = volume.frames.length - 1;
	while (low < high) {
		const middle = (low + high + 1) >> 1;
		if (frameOf(volume, middle).tarOffset <= tarOffset) low = middle;
		else high = middle - 1;
	}
	return low;
}

/** The bytes of the object that `decodeFrame` needs for frame `i`. */
export function frameRange(volume: StoredVolume, i: number): ObjectRange {
	const { offset, length } = frameOf(volume, i);
	const lead = volume.key ? leadLength(offset) : 0;
	return objectRange(volume, offset - lead, length + lead);
}

/**
 * Ciphertext bytes that CFB needs before the payload byte at `offset`: the whole block before the block that it lies in, and
 * what that one holds before it. Every frame has them, of the SEIPD prefix at least.
 */
function leadLength(offset: number): number {
	return BLOCK + ((offset - VERSION_LENGTH) % BLOCK);
}

/**
 * The tar bytes of frame `i` from the bytes of its `frameRange`, proven by its digest.
 * @throws DamageError when the bytes are not what was written
 */
export async function decodeFrame(volume: StoredVolume, i: number, bytes: Buffer): Promise<Buffer> {
	const frame = frameOf(volume, i);
	const range = frameRange(volume, i);
	if (bytes.length !== range.length) throw damaged(volume, i, `${bytes.length} of ${range.length} bytes`);
	const { key } = volume;
	const { tarLength } = frame;
	const most = tarLength + (key ? MAX_PREFIX : 0);
	// Room for one byte more than allowed: too much is seen at once.
	const output = Buffer.allocUnsafeSlow(most + 1);
	const runs = payloadRuns(bytes.length, range.offset, volume);
	const skip = leadLength(frame.offset) - BLOCK;
	const { made, digest } = await unpack(bytes, output, { key, runs, skip }, tarLength).catch((cause) => {
		throw damaged(volume, i, 'cannot be uncompressed', cause);
	});
	if (made < tarLength || made > most) throw damaged(volume, i, `it inflates to ${made} bytes or more`);
	if (!digest.equals(frame.digest)) throw damaged(volume, i, 'its SHA-256 is not the recorded one');
	return output.subarray(made - tarLength, made);
}

/** @throws RangeError when there is none */
export function frameOf(volume: StoredVolume, i: number): Frame {
	const frame = volume.frames[i];
	if (!frame) throw new RangeError(`no frame ${i} in the ${volume.frames.length} frames of ${volume.name}`);
	return frame;
}

function damaged(volume: StoredVolume, i: number, what: string, cause?: unknown): DamageError {
	return new DamageError(
		`${volume.name} is damaged in frame ${i}: ${what}; restore the object from a copy, or make a new full backup`,
		{ cause },
	);
}
