/** Files that had holes: blocks of zeros are left out, so that the file system makes holes of them again. */
import { ftruncateSync, writeSync } from 'node:fs';
import type { Place } from '../volume/sparse-tar.js';

/** Bytes; what file systems commonly allocate. */
const BLOCK = 4096;
const ZEROS = Buffer.alloc(BLOCK);

/** @param offset of the bytes in the file, a multiple of 4096. @returns where in the file data is, ascending */
export function dataPlaces(bytes: Buffer, offset: number): Place[] {
	const places: Place[] = [];
	let start = 0;
	const add = (end: number) => {
		if (end > start) places.push({ offset: offset + start, length: end - start });
	};
	for (let at = 0; at < bytes.length; at += BLOCK) {
		const end = Math.min(at + BLOCK, bytes.length);
		if (ZEROS.compare(bytes, at, end, 0, end - at) !== 0) continue;
		add(at);
		start = end;
	}
	add(bytes.length);
	return places;
}

/** @param offset as of dataPlaces */
export function writeSparsely(fd: number, bytes: Buffer, offset: number): void {
	for (const place of dataPlaces(bytes, offset)) {
		const start = place.offset - offset;
		writeFully(fd, bytes.subarray(start, start + place.length), place.offset);
	}
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
