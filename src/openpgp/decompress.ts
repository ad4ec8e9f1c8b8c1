/**
 * The body of a compressed data packet (tag 8, RFC 9580 5.6) as a stream: one octet that names the algorithm, then the
 * compressed bytes. Holds a few chunks at a time, whatever they inflate to. BZIP2 is GnuPG's: src/openpgp/contents.ts.
 */
import { Readable } from 'node:stream';
import { createInflate, createInflateRaw } from 'node:zlib';
import { DamageError, UnsupportedError } from '../errors.js';

/** OpenPGP compression ids (RFC 9580 9.4). */
const NONE = 0;
const ZIP = 1;
const ZLIB = 2;
export const BZIP2 = 3;

/** @throws DamageError when the data is garbled, cut off or followed by more, UnsupportedError for other algorithms */
export async function* decompress(
	algorithm: number,
	compressed: AsyncIterable<Buffer>,
): AsyncGenerator<Buffer, void, void> {
	if (algorithm === NONE) yield* compressed;
	else if (algorithm === ZIP) yield* inflate(compressed, createInflateRaw({ chunkSize: CHUNK }));
	else if (algorithm === ZLIB) yield* inflate(compressed, createInflate({ chunkSize: CHUNK }));
	else throw new UnsupportedError(`compressed with unknown OpenPGP algorithm ${algorithm}`);
}
const CHUNK = 64 << 10;

async function* inflate(
	compressed: AsyncIterable<Buffer>,
	engine: ReturnType<typeof createInflate>,
): AsyncGenerator<Buffer, void, void> {
	let size = 0;
	const counted = async function* () {
		for await (const piece of compressed) {
			size += piece.length;
			yield piece;
		}
	};
	const source = Readable.from(counted());
	source.on('error', (error) => engine.destroy(error));
	source.pipe(engine);
	try {
		yield* engine;
		// The engine stops where the deflate data says so; its source may go on.
		source.unpipe(engine);
		for await (const _ of source);
	} catch (error) {
		if (!isZlibError(error)) throw error;
		throw new DamageError(`the compressed data is damaged: ${error.message}`, { cause: error });
	} finally {
		source.destroy();
		engine.destroy();
	}
	if (engine.bytesWritten !== size) throw new DamageError('there are loose bytes after the compressed data');
}

function isZlibError(error: unknown): error is Error {
	return error instanceof Error && 'code' in error && String(error.code).startsWith('Z_');
}
