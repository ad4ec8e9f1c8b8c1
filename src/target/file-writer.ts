/**
 * Writes one file of a target folder: under a temporary name in the same folder, synced, then renamed, so that it
 * appears whole and survives a power cut. `FolderTarget` makes one per object.
 */
import { randomBytes } from 'node:crypto';
import { type FileHandle, open, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { pathError } from './file-errors.js';
import type { ObjectWriter } from './target.js';

/** Leading dot: every duplicity ignores such a name, whatever follows. */
export const TEMPORARY_PREFIX = '.tsdup-tmp-';

export class FileWriter implements ObjectWriter {
	readonly #dir: string;
	readonly #path: string;
	readonly #temporary: string;
	#file: Promise<FileHandle> | undefined;
	#aborted = false;

	constructor(dir: string, path: string) {
		this.#dir = dir;
		this.#path = path;
		this.#temporary = join(dir, TEMPORARY_PREFIX + randomBytes(8).toString('hex'));
	}

	async write(chunk: Buffer): Promise<void> {
		try {
			await (await this.#open()).writeFile(chunk);
		} catch (cause) {
			throw pathError('write', this.#path, cause);
		}
	}

	async commit(): Promise<void> {
		try {
			const file = await this.#open();
			await file.sync();
			await file.close();
			await rename(this.#temporary, this.#path);
			this.#file = undefined;
			await syncFolder(this.#dir);
		} catch (cause) {
			throw pathError('write', this.#path, cause);
		}
	}

	/** Does nothing after a commit. What it cannot remove, `sweep` does. */
	async abort(): Promise<void> {
		this.#aborted = true;
		const file = await this.#file?.catch(() => undefined);
		this.#file = undefined;
		if (file === undefined) return;
		await file.close().catch(() => undefined);
		await rm(this.#temporary, { force: true }).catch(() => undefined);
	}

	/** Not before the first write: `create` itself touches nothing. */
	async #open(): Promise<FileHandle> {
		if (this.#aborted) throw new Error('the writer was aborted');
		this.#file ??= open(this.#temporary, 'wx', 0o600);
		return this.#file;
	}
}

/** Makes the names in a folder durable. */
export async function syncFolder(dir: string): Promise<void> {
	const folder = await open(dir, 'r');
	try {
		await folder.sync();
	} finally {
		await folder.close();
	}
}
