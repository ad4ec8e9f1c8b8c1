/**
 * A target in a folder (file:// URLs): one file per object. An object is written under a temporary name
 * in the same folder, made durable and renamed, so a reader sees it whole or not at all.
 * Only `openTarget` makes one.
 */
import { createReadStream } from 'node:fs';
import { type FileHandle, open, readdir, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { DamageError, MissingObjectError, TargetError } from '../errors.js';
import { errno, pathError } from './file-errors.js';
import { FileWriter, syncFolder, TEMPORARY_PREFIX } from './file-writer.js';
import type { ObjectInfo, ObjectWriter, Target } from './target.js';

/** Bytes per chunk of `stream`. A cached file: Node's 64 KiB give 1 GB/s, this 4 GB/s, more gives no more. */
const STREAM_CHUNK = 256 * 1024;

export class FolderTarget implements Target {
	readonly url: string;
	readonly #dir: string;

	/** @param dir absolute path; it need not exist yet, but does when an object is created. */
	constructor(dir: string) {
		this.#dir = dir;
		this.url = pathToFileURL(dir).href;
	}

	/** Files only, symbolic links to files too; sub-folders and half-written objects are left out. */
	async list(): Promise<ObjectInfo[]> {
		const names = await readdir(this.#dir).catch((cause) => {
			throw this.#folderError('list', cause);
		});
		const objects = await Promise.all(
			names.filter((name) => !name.startsWith(TEMPORARY_PREFIX)).map((name) => this.#info(name)),
		);
		return objects.filter((info) => info !== undefined);
	}

	async read(name: string, offset: number, length: number): Promise<Buffer> {
		const path = this.#path(name);
		let file: FileHandle | undefined;
		try {
			file = await open(path, 'r');
			const bytes = Buffer.allocUnsafe(length);
			let filled = 0;
			while (filled < length) {
				const { bytesRead } = await file.read(bytes, filled, length - filled, offset + filled);
				if (bytesRead === 0) {
					throw new DamageError(
						`${path} is too short: bytes ${offset} to ${offset + length} are needed, it ends at ${offset + filled}`,
					);
				}
				filled += bytesRead;
			}
			return bytes;
		} catch (error) {
			throw await this.#objectError('read', path, error);
		} finally {
			await file?.close();
		}
	}

	async *stream(name: string): AsyncIterable<Buffer> {
		const path = this.#path(name);
		try {
			yield* createReadStream(path, { highWaterMark: STREAM_CHUNK }) as AsyncIterable<Buffer>;
		} catch (error) {
			throw await this.#objectError('read', path, error);
		}
	}

	create(name: string): ObjectWriter {
		return new FileWriter(this.#dir, this.#path(name));
	}

	async delete(names: readonly string[]): Promise<void> {
		for (const name of names) await this.#remove(this.#path(name));
		if (names.length === 0) return;
		await syncFolder(this.#dir).catch((cause) => {
			throw this.#folderError('delete from', cause);
		});
	}

	async unfinished(): Promise<string[]> {
		const names = await readdir(this.#dir).catch((cause) => {
			throw this.#folderError('list', cause);
		});
		return names.filter((name) => name.startsWith(TEMPORARY_PREFIX));
	}

	/** Call it only while no other run writes here: every temporary file goes. */
	async sweep(): Promise<void> {
		for (const name of await this.unfinished()) await this.#remove(join(this.#dir, name));
	}

	/** Undefined for what is no file, and for what was removed since the folder was read. */
	async #info(name: string): Promise<ObjectInfo | undefined> {
		const path = join(this.#dir, name);
		try {
			const found = await stat(path);
			return found.isFile() ? { name, size: found.size } : undefined;
		} catch (cause) {
			if (errno(cause) === 'ENOENT') return undefined;
			throw await this.#objectError('list', path, cause);
		}
	}

	async #remove(path: string): Promise<void> {
		try {
			await rm(path, { force: true });
		} catch (cause) {
			throw await this.#objectError('delete', path, cause);
		}
	}

	/** Object names come from manifests and listings: one that leads out of the folder must not be followed. */
	#path(name: string): string {
		if (name === '' || name === '.' || name === '..' || /[/\0]/.test(name)) {
			throw new TargetError(`${JSON.stringify(name)} cannot be the name of an object in ${this.#dir}`);
		}
		return join(this.#dir, name);
	}

	#folderError(verb: string, cause: unknown): TargetError {
		const code = errno(cause);
		if (code === 'ENOENT') {
			return new TargetError(
				`The target folder ${this.#dir} does not exist; check TARGET, and that its disk is mounted`,
				{ cause },
			);
		}
		if (code === 'ENOTDIR') {
			return new TargetError(`The target ${this.#dir} is not a folder; check TARGET`, { cause });
		}
		return pathError(verb, this.#dir, cause);
	}

	async #objectError(verb: string, path: string, error: unknown): Promise<Error> {
		if (error instanceof DamageError) return error;
		if (errno(error) !== 'ENOENT') return pathError(verb, path, error);
		const folder = await stat(this.#dir).catch((cause) => cause);
		if (folder instanceof Error) return this.#folderError(verb, folder);
		return new MissingObjectError(`${path} is missing from the target`, { cause: error });
	}
}
