/**
 * The body of a compressed data packet (tag 8, RFC 9580 5.6) as a stream: one octet that names the algorithm, then the
 * compressed bytes. Holds a few chunks at a time, whatever they inflate to.
 */
import { Readable } from 'node:stream';
import { createInflate, createInflateRaw } from 'node:zlib';
import { DamageError, TsdupError } from '../errors.js';
import { ByteReader } from './bytes.js';

/** @throws DamageError when the data is garbled, cut off or followed by more, TsdupError for bzip2 and unknown algorithms */
export async function* decompress(body: AsyncIterable<Buffer>): AsyncGenerator<Buffer, void, void> {
	const reader = new ByteReader(body);
	try {
		const algorithm = (await reader.exactly(1)).readUInt8(0);
		const rest = readAll(reader);
		if (algorithm === 0) yield* rest;
		else if (algorithm === 1) yield* inflate(rest, createInflateRaw({ chunkSize: CHUNK }));
		else if (algorithm === 2) yield* inflate(rest, createInflate({ chunkSize: CHUNK }));
		else throw new TsdupError(`compressed with OpenPGP algorithm ${algorithm}, which is not supported yet`);
	} finally {
		await reader.close();
	}
}

const CHUNK = 64 << 10;

async function* readAll(reader: ByteReader): AsyncGenerator<Buffer, void, void> {
	for (let piece = await reader.some(Infinity); piece !== null; piece = await reader.some(Infinity))
		yield piece;
}

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
