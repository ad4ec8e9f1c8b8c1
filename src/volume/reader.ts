/**
 * Reads one frame of a stored volume. The content layer fetches `frameRange` from the target (or its cache) and hands
 * the bytes to `decodeFrame`; nothing here does I/O or keeps anything.
 */
import { promisify } from 'node:util';
import zlib from 'node:zlib';
import { decryptCfb, sha256 } from '../crypto/crypto.js';
import { DamageError } from '../errors.js';
import { Inflater } from '../inflate/inflater.js';
import type { Frame, StoredVolume } from './frame.js';
import { type ObjectRange, objectRange, stripLengths } from './layout.js';
import { MAX_PREFIX } from './literal.js';
import { withRoom } from './rooms.js';

const gunzip = promisify(zlib.gunzip);

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
	const plain = await uncompress(volume, frame, range.offset, bytes).catch((cause) => {
		throw damaged(volume, i, 'cannot be uncompressed', cause);
	});
	const tar = plain.subarray(Math.max(plain.length - frame.tarLength, 0));
	const digest = await sha256(tar);
	if (!digest.equals(frame.digest)) throw damaged(volume, i, 'its SHA-256 is not the recorded one');
	return tar;
}

/** What the frame's compressed data holds, cut off soon after the length that is expected. */
async function uncompress(
	volume: StoredVolume,
	frame: Frame,
	offset: number,
	bytes: Buffer,
): Promise<Buffer> {
	const most = frame.tarLength + (volume.key ? MAX_PREFIX : 0);
	// Room for one byte more than allowed: a frame is one job of the thread pool, and too much is seen at once.
	if (!volume.key) {
		const chunkSize = Math.max(most + 1, zlib.constants.Z_MIN_CHUNK);
		return gunzip(bytes, { maxOutputLength: most, chunkSize });
	}
	const { key } = volume;
	const output = Buffer.allocUnsafeSlow(most + 1);
	const { made } = await withRoom(bytes.length, async (room) => {
		const payload = stripLengths(bytes, offset, volume);
		const plain = (await decryptCfb(key, payload, room)).subarray(leadLength(frame.offset) - BLOCK);
		return new Inflater('raw').run(plain, output);
	});
	if (made > most) throw new RangeError(`it inflates to more than ${most} bytes`);
	return output.subarray(0, made);
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
