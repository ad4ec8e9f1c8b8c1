/**
 * The cache on disk: for each frame that was read, its bytes exactly as stored on the target (ciphertext when the
 * collection is encrypted). Bounded, least recently used first out, safe to delete at any time and to share
 * between processes. It is never trusted: a frame's digest is checked after decoding, whatever it came from.
 */
import { randomBytes } from 'node:crypto';
import { mkdir, readFile, rename, rm, utimes, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { evict } from './eviction.js';

export class BlockCache {
	readonly #dir: string;
	readonly #limit: number;
	/** Bytes that may be added before the cache is looked at; others may add to it, too. */
	#left = 0;
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
		this.#left -= bytes.length;
		if (this.#left < 0) {
			this.#evicting ??= evict(this.#dir, this.#limit)
				.then((used) => {
					this.#left = Math.min(this.#limit - used, this.#limit / 10);
				})
				.finally(() => {
					this.#evicting = null;
				});
			await this.#evicting;
		}
	}

	#path(object: string, frame: number): string {
		return join(this.#dir, `${object}.${frame}`);
	}
}
