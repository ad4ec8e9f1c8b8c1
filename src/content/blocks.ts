/**
 * The cache on disk: for each frame that was read, its bytes exactly as stored on the target (ciphertext when the
 * collection is encrypted). Bounded, least recently used first out, safe to delete at any time and to share
 * between processes. It is never trusted: a frame's digest is checked after decoding, whatever it came from.
 */
import { randomBytes } from 'node:crypto';
import { mkdir, readdir, readFile, rename, rm, stat, utimes, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

export class BlockCache {
	readonly #dir: string;
	readonly #limit: number;
	/** Bytes in the cache as far as this process knows; null until it was looked at. */
	#used: number | null = null;
	#evicting: Promise<void> | null = null;

	/** @param limit bytes */
	constructor(dir: string, limit: number) {
		this.#dir = dir;
		this.#limit = limit;
	}

	/** The block, or null when the cache has none. */
	async get(object: string, frame: number): Promise<Buffer | null> {
		const path = this.#path(object, frame);
		try {
			const bytes = await readFile(path);
			const now = new Date();
			await utimes(path, now, now);
			return bytes;
		} catch {
			return null;
		}
	}

	/** A full disk or a deleted cache is no error: the block is just not kept. */
	async put(object: string, frame: number, bytes: Buffer): Promise<void> {
		const path = this.#path(object, frame);
		const aside = join(this.#dir, `.${randomBytes(6).toString('hex')}`);
		try {
			await mkdir(this.#dir, { recursive: true, mode: 0o700 });
			await writeFile(aside, bytes, { mode: 0o600 });
			await rename(aside, path);
		} catch {
			await rm(aside, { force: true }).catch(() => {});
			return;
		}
		if (this.#used !== null) this.#used += bytes.length;
		if (this.#used === null || this.#used > this.#limit) {
			this.#evicting ??= this.#evict().finally(() => {
				this.#evicting = null;
			});
			await this.#evicting;
		}
	}

	async remove(object: string, frame: number): Promise<void> {
		await rm(this.#path(object, frame), { force: true });
	}

	/** Down to nine tenths of the limit, so that it is not looked at for every block. */
	async #evict(): Promise<void> {
		const files: { path: string; size: number; used: number }[] = [];
		for (const name of await readdir(this.#dir).catch(() => [])) {
			const path = join(this.#dir, name);
			const info = await stat(path).catch(() => null);
			if (info?.isFile()) files.push({ path, size: info.size, used: info.mtimeMs });
		}
		let total = files.reduce((sum, file) => sum + file.size, 0);
		files.sort((a, b) => a.used - b.used);
		for (const file of files) {
			if (total <= this.#limit * 0.9) break;
			await rm(file.path, { force: true }).catch(() => {});
			total -= file.size;
		}
		this.#used = total;
	}

	#path(object: string, frame: number): string {
		return join(this.#dir, `${object}.${frame}`);
	}
}
