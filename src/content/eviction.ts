/** Keeps a folder of cache files within its limit. */
import { readdir, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';

/**
 * Removes the files that were not used for longest, down to nine tenths of `limit` bytes when it is passed, so that this
 * need not be done for each new file. Files that vanish meanwhile are nobody's error.
 * @returns the bytes that are left
 */
export async function evict(dir: string, limit: number): Promise<number> {
	const files: { path: string; size: number; used: number }[] = [];
	for (const name of await readdir(dir).catch(() => [])) {
		const path = join(dir, name);
		const info = await stat(path).catch(() => null);
		if (info?.isFile()) files.push({ path, size: info.size, used: info.mtimeMs });
	}
	let total = files.reduce((sum, file) => sum + file.size, 0);
	if (total <= limit) return total;
	files.sort((a, b) => a.used - b.used);
	for (const file of files) {
		if (total <= limit * 0.9) break;
		await rm(file.path, { force: true }).catch(() => {});
		total -= file.size;
	}
	return total;
}
