/**
 * Whether an entry is as it was, too, in what lstat does not tell. Asked of those that have another stamp, though times, size and all
 * else agree: an edit that puts the time back looks like this, and all of a tree that was restored or copied.
 */
import { closeSync } from 'node:fs';
import type { FormerEntry } from '../index/entry.js';
import type { ReadFile } from '../rsync/read.js';
import { isSignatureOf } from '../rsync/signature.js';
import { openRegular, type SourceMetadata } from '../source/source.js';
import { readXattrs } from '../source/xattrs.js';
import { readMore } from './file.js';
import { PIECE_LENGTH } from './pieces.js';

const NONE = Buffer.alloc(0);

/** Throws nothing. @param path absolute */
export function hasSameXattrs(path: Buffer, previous: FormerEntry): boolean {
	return (readXattrs(path).xattrs ?? NONE).equals(previous.xattrs ?? NONE);
}

/**
 * Whether a file has the content that was signed; it is read up to where it differs. No when it is not the file that was seen, or
 * cannot be read: whoever stores it then says so.
 * @param path absolute
 * @param read null: it was not read ahead
 */
export async function hasSameContent(
	path: Buffer,
	seen: SourceMetadata,
	read: ReadFile | null,
	signature: Buffer,
): Promise<boolean> {
	if (read) return read.signature.equals(signature) || isSignatureOf(signature, [read.content]);
	let fd: number | null = null;
	try {
		const file = openRegular(path);
		fd = file?.fd ?? null;
		if (!file || file.metadata.stamp !== seen.stamp) return false;
		return await isSignatureOf(signature, pieces(file.fd));
	} catch (error) {
		if ((error as NodeJS.ErrnoException).syscall) return false;
		throw error;
	} finally {
		if (fd !== null) closeSync(fd);
	}
}

/** Each is to be done with when the next is asked for. */
async function* pieces(fd: number): AsyncGenerator<Buffer, void> {
	const room = Buffer.allocUnsafeSlow(PIECE_LENGTH);
	for (;;) {
		const piece = await readMore(fd, room);
		if (piece.length === 0) return;
		yield piece;
	}
}
