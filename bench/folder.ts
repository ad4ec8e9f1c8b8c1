/** Folders of targets: their size, and digests of what came back. */
import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';

/** Bytes in all files below `dir`. */
export async function sizeOf(dir: string): Promise<number> {
	let bytes = 0;
	for (const entry of await readdir(dir, { recursive: true, withFileTypes: true })) {
		if (entry.isFile()) bytes += (await stat(join(entry.parentPath, entry.name))).size;
	}
	return bytes;
}

/** Bytes that a file is read in: what `cp` asks for. */
const READ_LENGTH = 2 ** 18;

export async function digest(path: string): Promise<string> {
	const hash = createHash('sha256');
	for await (const chunk of createReadStream(path, { highWaterMark: READ_LENGTH })) hash.update(chunk);
	return hash.digest('hex');
}

/** @throws Error when the two files differ: a benchmark of wrong results means nothing */
export async function requireSame(path: string, original: string): Promise<void> {
	if ((await digest(path)) !== (await digest(original))) {
		throw new Error(`Wrong result: ${path} is not what ${original} holds.`);
	}
}
