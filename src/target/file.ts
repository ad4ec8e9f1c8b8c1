/**
 * A target in a folder (file:// URLs): one file per object. An object is written under a temporary name
 * in the same folder, made durable and renamed, so a reader sees it whole or not at all.
 * Only `openTarget` makes one.
 */
import { randomBytes } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { type FileHandle, open, readdir, rename, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { DamageError, MissingObjectError, TargetError } from '../errors.js';
import type { ObjectInfo, ObjectWriter, Target } from './target.js';

/** Leading dot: every duplicity ignores such a name, whatever follows. */
const TEMPORARY_PREFIX = '.tsdup-tmp-';

/** Bytes per chunk of `stream`; below 256 KiB reading a cached file got slower, above it no faster. */
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

	/** Call it only while no other run writes here: every temporary file goes. */
	async sweep(): Promise<void> {
		const names = await readdir(this.#dir).catch((cause) => {
			throw this.#folderError('sweep', cause);
		});
		for (const name of names) {
			if (name.startsWith(TEMPORARY_PREFIX)) await this.#remove(join(this.#dir, name));
		}
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

class FileWriter implements ObjectWriter {
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
async function syncFolder(dir: string): Promise<void> {
	const folder = await open(dir, 'r');
	try {
		await folder.sync();
	} finally {
		await folder.close();
	}
}

const REASONS: Readonly<Record<string, string>> = {
	ENOSPC: 'the disk is full',
	EDQUOT: 'the disk quota is used up',
	EACCES: 'permission denied',
	EPERM: 'permission denied',
	EROFS: 'the file system is read-only',
	EIO: 'the disk reports an input/output error',
	ENOENT: 'the folder does not exist',
};

/** `Cannot VERB PATH: reason`, from what node:fs threw. */
function pathError(verb: string, path: string, cause: unknown): TargetError {
	const code = errno(cause);
	return new TargetError(`Cannot ${verb} ${path}: ${REASONS[code] ?? String(code || cause)}`, { cause });
}

function errno(error: unknown): string {
	return error instanceof Error && 'code' in error ? String(error.code) : '';
}
