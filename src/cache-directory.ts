/** Where tsdup keeps what only costs time to lose: indexes, caches, the log of mounts. */
import { mkdir } from 'node:fs/promises';
import { homedir } from 'node:os';
import { join } from 'node:path';

/** The folder `name` under tsdup's own in `base`, the user's cache directory if none is given; made with mode 0700 if need be. */
export async function cacheDirectory(
	name = '',
	base = process.env.XDG_CACHE_HOME || join(homedir(), '.cache'),
): Promise<string> {
	const directory = join(base, 'tsdup', name);
	await mkdir(directory, { recursive: true, mode: 0o700 });
	return directory;
}
