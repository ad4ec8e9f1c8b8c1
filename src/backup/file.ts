/**
 * Stores one regular file: whole, or as a delta against the version before. The signature and the delta are made of the
 * very bytes that are stored, so they fit together whatever happens to the file meanwhile.
 */
import { read as readCallback, readSync } from 'node:fs';
import { promisify } from 'node:util';
import { DamageError } from '../errors.js';
import type { Metadata } from '../index/entry.js';
import { type Extent, ExtentMap, pushExtent } from '../index/extents.js';
import { DeltaParser } from '../rsync/commands.js';
import { DeltaStream, deltaOf } from '../rsync/delta.js';
import type { ReadFile } from '../rsync/read.js';
import { blockLength, SignatureStream, signatureOf } from '../rsync/signature.js';
import type { Difftar } from './difftar.js';
import { PIECE_LENGTH, type PieceFile, PieceWriter } from './pieces.js';

const read = promisify(readCallback);

export interface StoredFile {
	/** With the size that was really read. */
	metadata: Metadata;
	content: StoredContent;
	signature: Buffer;
	/** The system's error when the file could only be read in part. */
	incomplete: unknown;
}

/** Where a file's bytes lie; or, when the index does not know that of the version before, where the delta does. */
export interface StoredContent {
	extents: Extent[];
	delta: Extent[] | null;
}

/** The version that a delta builds on. */
export interface Basis {
	signature: Buffer;
	/** null: not known, which is so for what duplicity wrote until somebody reads it. */
	extents: readonly Extent[] | null;
}

/**
 * @param basis null stores the file whole
 * @throws the system's error when not even the file's beginning can be read (nothing is stored then); TargetError
 */
export async function storeFile(
	difftar: Difftar,
	path: Buffer,
	file: PieceFile & { fd: number },
	metadata: Metadata,
	basis: Basis | null,
): Promise<StoredFile> {
	const { fd } = file;
	const first = readPiece(fd, rooms[0].subarray(0, Math.min(metadata.size + 1, PIECE_LENGTH)));
	const output = new Output(difftar, path, file, metadata, basis);
	const block = blockLength(metadata.size);
	if (first.length <= metadata.size && first.length < PIECE_LENGTH) {
		await output.write(basis ? await deltaOf(basis.signature, first) : first);
		return output.finish(first.length, await signatureOf(first, block), null);
	}
	const signature = new SignatureStream(block);
	const signed: Buffer[] = [];
	let size = 0;
	let incomplete: unknown = null;
	let pieces = 1;
	for (let piece = first; piece.length > 0; pieces++) {
		// The next piece is read while this one is worked on. Settled in any case: nobody may close the file before.
		const [part, stored, next] = await Promise.allSettled([
			signature.update(piece),
			output.update(piece),
			readMore(fd, rooms[pieces % rooms.length] as Buffer),
		]);
		for (const worked of [part, stored]) if (worked.status === 'rejected') throw worked.reason;
		if (part.status === 'fulfilled') signed.push(part.value);
		size += piece.length;
		if (next.status === 'rejected') {
			// Pieces of it are stored already: what is there is kept, and said to be incomplete.
			incomplete = next.reason;
			break;
		}
		piece = next.value;
	}
	signed.push(await signature.final());
	await output.end();
	return output.finish(size, Buffer.concat(signed), incomplete);
}

/** A small file is in one piece, or its delta, which may be longer, in two: too little to go on from the middle. */
const SMALL: PieceFile = { fd: null, kept: [] };

/** What a small file is now, said by what it was. */
export interface SmallDelta {
	readonly basis: Basis;
	readonly delta: Buffer;
}

/** As `storeFile`, of a file that was read and signed. @param small null stores it whole */
export async function storeRead(
	difftar: Difftar,
	path: Buffer,
	metadata: Metadata,
	{ content, signature }: ReadFile,
	small: SmallDelta | null,
): Promise<StoredFile> {
	const output = new Output(difftar, path, SMALL, metadata, small?.basis ?? null);
	await output.write(small?.delta ?? content);
	return output.finish(content.length, signature, null);
}

/** What is written for the file: its own bytes, or those of the delta; and where its content lies after that. */
class Output {
	readonly #metadata: Metadata;
	readonly #basis: Basis | null;
	readonly #pieces: PieceWriter;
	readonly #commands: ({ offset: number; length: number } & { copy: boolean })[] = [];
	readonly #parser: DeltaParser;
	#delta: DeltaStream | null = null;

	constructor(difftar: Difftar, path: Buffer, file: PieceFile, metadata: Metadata, basis: Basis | null) {
		this.#metadata = metadata;
		this.#basis = basis;
		this.#pieces = new PieceWriter(difftar, basis ? 'diff' : 'snapshot', path, metadata, file);
		this.#parser = new DeltaParser({
			literal: (length, offset) => this.#commands.push({ copy: false, offset, length }),
			copy: (offset, length) => this.#commands.push({ copy: true, offset, length }),
		});
	}

	/** Bytes of the file, or of its delta. */
	async write(bytes: Buffer): Promise<void> {
		if (this.#basis) this.#parser.push(bytes);
		await this.#pieces.write(bytes);
	}

	async update(content: Buffer): Promise<void> {
		if (this.#basis) this.#delta ??= new DeltaStream(this.#basis.signature);
		await this.write(this.#delta ? await this.#delta.update(content) : content);
	}

	async end(): Promise<void> {
		if (this.#delta) await this.write(await this.#delta.final());
	}

	async finish(size: number, signature: Buffer, incomplete: unknown): Promise<StoredFile> {
		const written = await this.#pieces.finish();
		const content = this.#basis
			? this.#resolve(this.#basis, written, size)
			: { extents: written, delta: null };
		return { metadata: { ...this.#metadata, size }, content, signature, incomplete };
	}

	#resolve(basis: Basis, written: Extent[], size: number): StoredContent {
		this.#parser.end();
		const made = this.#commands.reduce((sum, { length }) => sum + length, 0);
		if (made !== size) {
			throw new DamageError('A delta does not give back the length of the file it was made of.');
		}
		if (!basis.extents) return { extents: [], delta: written };
		const before = new ExtentMap(basis.extents);
		const delta = new ExtentMap(written);
		const extents: Extent[] = [];
		for (const { copy, offset, length } of this.#commands) {
			for (const extent of (copy ? before : delta).slice(offset, length)) pushExtent(extents, extent);
		}
		return { extents, delta: null };
	}
}

/**
 * Where files are read, one after the other: new memory for each piece would keep the garbage collector busy. A piece that is being
 * stored, the one behind it, which is kept until it is known whether it is the last, and one that is being read.
 */
const rooms = [newRoom(), newRoom(), newRoom()] as const;

function newRoom(): Buffer {
	return Buffer.allocUnsafeSlow(PIECE_LENGTH);
}

/** Reads until the buffer is full or the file ends: small files are read in one call, without leaving the thread. */
function readPiece(fd: number, buffer: Buffer): Buffer {
	let filled = 0;
	while (filled < buffer.length) {
		const count = readSync(fd, buffer, filled, buffer.length - filled, null);
		if (count === 0) break;
		filled += count;
	}
	return buffer.subarray(0, filled);
}

/** As `readPiece`, for the rest of a large file, while other work goes on. */
export async function readMore(fd: number, buffer: Buffer): Promise<Buffer> {
	let filled = 0;
	while (filled < buffer.length) {
		const { bytesRead } = await read(fd, buffer, filled, buffer.length - filled, null);
		if (bytesRead === 0) break;
		filled += bytesRead;
	}
	return buffer.subarray(0, filled);
}
