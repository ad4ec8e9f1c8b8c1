/**
 * The literal packet (RFC 9580 5.9) that holds the tar of an encrypted volume: what stands before the tar bytes of each
 * frame. The writer puts it there, the reader skips it; pure.
 */
import { definiteLength, newTag, partialLength } from '../openpgp/packets.js';
import { FRAME_LENGTH } from './frame.js';

const LITERAL_TAG = 11;
const FRAME_POWER = Math.log2(FRAME_LENGTH);
const NONE = Buffer.alloc(0);

/** Binary, no file name, no date. */
const LITERAL_HEADER = Buffer.from([0x62, 0, 0, 0, 0, 0]);

/** Tar bytes in the first frame of an encrypted volume, unless it is the last, too: its chunk holds the header as well. */
export const FIRST_LENGTH = FRAME_LENGTH - LITERAL_HEADER.length;

/** Longest prefix, bytes: tag 1, length 5, header 6. */
export const MAX_PREFIX = 1 + 5 + LITERAL_HEADER.length;

/** The length octets of one chunk of the packet; before them the tag and after them the header, in the first chunk. */
export function literalPrefix(tarOffset: number, tarLength: number, last: boolean): Buffer {
	const first = tarOffset === 0;
	const header = first ? LITERAL_HEADER : NONE;
	const tag = first ? Buffer.from([newTag(LITERAL_TAG)]) : NONE;
	const length = last ? definiteLength(header.length + tarLength) : Buffer.from([partialLength(FRAME_POWER)]);
	return Buffer.concat([tag, length, header]);
}
