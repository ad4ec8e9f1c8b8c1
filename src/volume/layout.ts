/**
 * Where a payload byte lies in its object. Writer and reader share this; pure arithmetic.
 *
 * The payload of a gzip volume is the object. The payload of an encrypted volume is the body of its SEIPD packet
 * (byte 0 is the version octet) without the length octets that OpenPGP scatters through it. The packet is the last
 * thing in the object and is written as
 *
 *     body -> [f4][2^20 bytes] [f4][2^20 bytes] … [ff + 4 octets][0 to 2^20 - 1 bytes]
 *
 * so the object's size alone tells where every length octet lies.
 */
import type { StoredVolume } from './frame.js';

/** Payload bytes in each outer partial chunk: 2 ** CHUNK_POWER. */
export const CHUNK_POWER = 20;
export const CHUNK_LENGTH = 2 ** CHUNK_POWER;
/** Length octets before the last chunk. */
export const LAST_OCTETS = 5;

/** The fields of a volume that place its payload. */
export type Placement = Pick<StoredVolume, 'size' | 'key' | 'body'>;

/** A run of bytes of an object. */
export interface ObjectRange {
	readonly offset: number;
	readonly length: number;
}

/** Number of partial chunks before the last one. */
function fullChunks(volume: Placement): number {
	return Math.floor((volume.size - volume.body - LAST_OCTETS) / (CHUNK_LENGTH + 1));
}

/** Offset in the object of one payload byte. */
function objectOffset(volume: Placement, payloadOffset: number): number {
	const chunk = Math.floor(payloadOffset / CHUNK_LENGTH);
	const octets = chunk < fullChunks(volume) ? chunk + 1 : chunk + LAST_OCTETS;
	return volume.body + payloadOffset + octets;
}

/** The run of the object that holds these payload bytes (and length octets between them). @param length at least 1 */
export function objectRange(volume: Placement, payloadOffset: number, length: number): ObjectRange {
	if (volume.key === null) return { offset: payloadOffset, length };
	const offset = objectOffset(volume, payloadOffset);
	return { offset, length: objectOffset(volume, payloadOffset + length - 1) + 1 - offset };
}

/**
 * Where payload lies among `length` bytes that lie in the object from `offset` on: beginning and end of each run. The length
 * octets between them are not looked at: they add nothing to what the frame's digest proves.
 */
export function payloadRuns(length: number, offset: number, volume: Placement): number[] {
	if (volume.key === null) return [0, length];
	const full = fullChunks(volume);
	const start = offset - volume.body;
	const runs: number[] = [];
	for (let chunk = Math.floor(start / (CHUNK_LENGTH + 1)); ; chunk++) {
		const last = chunk >= full;
		const data = Math.min(chunk, full) * (CHUNK_LENGTH + 1) + (last ? LAST_OCTETS : 1);
		const to = last ? length : data + CHUNK_LENGTH - start;
		runs.push(Math.max(data - start, 0), Math.min(to, length));
		if (to >= length) return runs;
	}
}
