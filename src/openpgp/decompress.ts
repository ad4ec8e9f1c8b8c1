/**
 * The body of a compressed data packet (tag 8, RFC 9580 5.6) as a stream: one octet that names the algorithm, then the
 * compressed bytes. Holds a few chunks at a time, whatever they inflate to. BZIP2 is GnuPG's: src/openpgp/contents.ts.
 */
import { UnsupportedError } from '../errors.js';
import { Inflater } from '../inflate/inflater.js';
import { inflate } from '../inflate/stream.js';

/** OpenPGP compression ids (RFC 9580 9.4). */
const NONE = 0;
export const ZIP = 1;
export const ZLIB = 2;
export const BZIP2 = 3;

/** @throws DamageError when the data is garbled, cut off or followed by more, UnsupportedError for other algorithms */
export async function* decompress(
	algorithm: number,
	compressed: AsyncIterable<Buffer>,
): AsyncGenerator<Buffer, void, void> {
	if (algorithm === NONE) yield* compressed;
	else if (algorithm === ZIP || algorithm === ZLIB) {
		for await (const { bytes } of inflate(compressed, inflaterOf(algorithm))) yield bytes;
	} else throw new UnsupportedError(`compressed with unknown OpenPGP algorithm ${algorithm}`);
}

/** Of ZIP or ZLIB. */
export function inflaterOf(algorithm: number): Inflater {
	return new Inflater(algorithm === ZLIB ? 'zlib' : 'raw');
}
