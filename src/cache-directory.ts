/** Where tsdup keeps what only costs time to lose: indexes, caches, the log of mounts. */
import { mkdir } from 'node:fs/promises';
import { homedir } from 'node:os';
import { join } from 'node:path';

/** The folder `name` under tsdup's own in the user's cache directory, made with mode 0700 if need be. */
export async function cacheDirectory(name = ''): Promise<string> {
	const base = process.env.XDG_CACHE_HOME || join(homedir(), '.cache');
	const directory = join(base, 'tsdup', name);
	await mkdir(directory, { recursive: true, mode: 0o700 });
	return directory;
}
