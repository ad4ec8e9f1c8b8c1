/** The log of mounts in the background: one file for each user, mode 0600, appended to. Opened by `runInBackground`. */
import { type FileHandle, open, rename, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { cacheDirectory } from '../cache-directory.js';

/** Bytes; a log this large is put aside as `mount.log.1` when the next mount begins. */
const FULL = 1 << 20;

export interface Log {
	path: string;
	handle: FileHandle;
	/** What was appended since it was opened. */
	written(): Promise<Buffer>;
}

export async function openLog(): Promise<Log> {
	const path = join(await cacheDirectory(), 'mount.log');
	const size = await stat(path).then(
		(stats) => stats.size,
		() => 0,
	);
	if (size > FULL) await rename(path, `${path}.1`);
	const handle = await open(path, 'a+', 0o600);
	const start = (await handle.stat()).size;
	return {
		path,
		handle,
		async written(): Promise<Buffer> {
			const length = (await handle.stat()).size - start;
			const { buffer, bytesRead } = await handle.read(Buffer.alloc(length), 0, length, start);
			return buffer.subarray(0, bytesRead);
		},
	};
}
