/** Writes the content of a file that had holes: blocks of zeros are left out, so that the file system makes holes of them again. */
import { ftruncateSync, writeSync } from 'node:fs';

/** Bytes; what file systems commonly allocate. */
const BLOCK = 4096;
const ZEROS = Buffer.alloc(BLOCK);

/** @param offset of the bytes in the file, a multiple of 4096 */
export function writeSparsely(fd: number, bytes: Buffer, offset: number): void {
	let start = 0;
	for (let at = 0; at < bytes.length; at += BLOCK) {
		const end = Math.min(at + BLOCK, bytes.length);
		if (ZEROS.compare(bytes, at, end, 0, end - at) !== 0) continue;
		writeFully(fd, bytes.subarray(start, at), offset + start);
		start = end;
	}
	writeFully(fd, bytes.subarray(start), offset + start);
}

/** What ends in a hole has its size only then. */
export function endSparsely(fd: number, size: number): void {
	ftruncateSync(fd, size);
}

function writeFully(fd: number, bytes: Buffer, position: number): void {
	for (let done = 0; done < bytes.length; ) {
		done += writeSync(fd, bytes, done, bytes.length - done, position + done);
	}
}
