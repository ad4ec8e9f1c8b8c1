/**
 * Files while they are written: beside their place, under a name of their own, which they change for the right one when they are
 * complete.
 */
import { lstatSync, openSync, renameSync, rmdirSync, unlinkSync, writeSync } from 'node:fs';
import { TsdupError } from '../errors.js';
import type { Entry } from '../index/entry.js';

/** What they are called, with the number of their entry. */
export const PART = '.tsdup-part-';

/** Beside the file. */
export function partOf(path: Buffer, entry: Entry): Buffer {
	return Buffer.concat([path.subarray(0, path.lastIndexOf(SLASH) + 1), Buffer.from(`${PART}${entry.node}`)]);
}

/** Never follows what somebody else may have put there. */
export function create(part: Buffer): number {
	try {
		return openSync(part, 'wx', 0o600);
	} catch (error) {
		if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
		unlinkSync(part);
		return openSync(part, 'wx', 0o600);
	}
}

export function removeOld(part: Buffer): void {
	if (lstatSync(part, { throwIfNoEntry: false })) unlinkSync(part);
}

/** An empty folder may be in the way, one that holds something stays. */
export function rename(from: Buffer, to: Buffer): void {
	try {
		renameSync(from, to);
	} catch (error) {
		if ((error as NodeJS.ErrnoException).code !== 'EISDIR') {
			unlinkSync(from);
			throw error;
		}
		try {
			rmdirSync(to);
			renameSync(from, to);
		} catch (cause) {
			unlinkSync(from);
			throw new TsdupError('a folder that is not empty is in its place', { cause });
		}
	}
}

export function writeFully(fd: number, bytes: Buffer): void {
	for (let done = 0; done < bytes.length; ) done += writeSync(fd, bytes, done);
}

const SLASH = Buffer.from('/');
