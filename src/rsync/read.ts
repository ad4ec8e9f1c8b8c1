/**
 * Reads small files and makes their signatures, many in one job on the thread pool: a call for each file would cost more than
 * the work itself. A file that is not what was seen of it is left to those who read one file with care.
 */
import { native } from './native.js';
import { blockLength, signatureLength } from './signature.js';

/** What was seen of a regular file. */
export interface Seen {
	/** Absolute; without NULs. */
	readonly path: Buffer;
	/** Bytes. */
	readonly size: number;
	/** Seconds, and nanoseconds below them. */
	readonly mtime: number;
	readonly mtimeNs: number;
	/** Permission bits. */
	readonly mode: number;
	readonly uid: number;
	readonly gid: number;
}

export interface ReadFile {
	/** A part of the output that was given: it changes when that is used again. */
	readonly content: Buffer;
	readonly signature: Buffer;
	/** Whether it has extended attributes, or may have some. */
	readonly hasXattrs: boolean;
}

const REGULAR = 0o100000;
const NUL = Buffer.alloc(1);
const NUMBERS = 7;
/** As the addon says what became of a file. */
const NOT_READ = 0;
const PLAIN = 1;

/** Bytes of the output that a file of this size takes. */
export function roomFor(size: number): number {
	return size + 1;
}

/**
 * @param output has `roomFor` each of the files
 * @param flags for open(2)
 * @returns for each file its bytes; null when it could not be opened, is not what was seen, or changed while it was read
 */
export async function readFiles(
	files: readonly Seen[],
	output: Buffer,
	flags: number,
): Promise<(ReadFile | null)[]> {
	const facts = new Float64Array(files.length * NUMBERS);
	files.forEach((file, i) => {
		const { size, mtime, mtimeNs, mode, uid, gid } = file;
		facts.set([size, mtime, mtimeNs, mode | REGULAR, uid, gid, blockLength(size)], i * NUMBERS);
	});
	const paths = Buffer.concat(files.flatMap(({ path }) => [path, NUL]));
	const { read, signatures } = await native().readFiles(paths, facts, output, flags);
	let at = 0;
	let signed = 0;
	return files.map(({ size }, i) => {
		const content = output.subarray(at, at + size);
		at += roomFor(size);
		if (read[i] === NOT_READ) return null;
		const end = signed + signatureLength(size, blockLength(size));
		const signature = signatures.subarray(signed, end);
		signed = end;
		return { content, signature, hasXattrs: read[i] !== PLAIN };
	});
}
