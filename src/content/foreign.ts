/**
 * Makes what duplicity wrote readable from the middle, each object when it is first needed, and says how it is read then. What was
 * fetched stays in this host's cache: as it is stored where seek points make it readable, else as a copy in the seekable form.
 */
import { mkdir, utimes } from 'node:fs/promises';
import { join } from 'node:path';
import { DamageError, MissingObjectError } from '../errors.js';
import { foreignObject } from '../index/foreign.js';
import type { LocatedVolume } from '../index/index.js';
import { FolderTarget } from '../target/file.js';
import type { Target } from '../target/target.js';
import { evict } from './eviction.js';
import { type ForeignOptions, fetchObject } from './fetch.js';

/** Bytes of what is kept: some fifty volumes of duplicity's usual size. */
const COPIES_LIMIT = 10 * 2 ** 30;

export class ForeignObjects {
	/** Where copies are read. */
	readonly #copies: Target;
	readonly #dir: string;
	readonly #options: ForeignOptions;
	readonly #inFlight = new Map<number, Promise<void>>();
	/** Objects that turned out to be damaged: not fetched again for every file in them. */
	readonly #damaged = new Map<number, DamageError>();

	/** @param dir the folder of copies */
	constructor(dir: string, options: ForeignOptions) {
		this.#dir = dir;
		this.#options = options;
		this.#copies = new FolderTarget(dir);
	}

	/** How a volume is read; a foreign one is fetched when that is not known yet, or `again`. @throws as `fetch` */
	async locate(id: number, again: boolean): Promise<LocatedVolume> {
		const { index } = this.#options;
		const known = again ? undefined : index.volume(id);
		if (known) return known;
		await this.fetch(id);
		const made = index.volume(id);
		if (!made) throw new DamageError(`The index lost a volume: run \`tsdup index rebuild\`.`);
		return made;
	}

	/** Bytes of what is kept of a volume; null when it is not, or cannot be read. */
	async readKept(id: number, offset: number, length: number): Promise<Buffer | null> {
		try {
			const bytes = await this.#copies.read(String(id), offset, length);
			const now = new Date();
			// Used now: it goes later.
			await utimes(join(this.#dir, String(id)), now, now).catch(() => {});
			return bytes;
		} catch {
			return null;
		}
	}

	/** Fetches, verifies and indexes an object. @throws DamageError, MissingObjectError, KeyError, TargetError */
	fetch(id: number): Promise<void> {
		const damage = this.#damaged.get(id);
		if (damage) return Promise.reject(damage);
		let pending = this.#inFlight.get(id);
		if (!pending) {
			pending = this.#fetch(id)
				.catch((error) => {
					if (error instanceof DamageError) this.#damaged.set(id, error);
					throw error;
				})
				.finally(() => this.#inFlight.delete(id));
			this.#inFlight.set(id, pending);
		}
		return pending;
	}

	async #fetch(id: number): Promise<void> {
		const object = foreignObject(this.#options.index, id);
		if (!object) {
			throw new MissingObjectError(
				'It lies in a backup that was deleted meanwhile; if none was, run `tsdup index rebuild`.',
			);
		}
		await mkdir(this.#dir, { recursive: true, mode: 0o700 });
		await fetchObject(object, this.#options, this.#copies);
		await evict(this.#dir, COPIES_LIMIT);
	}
}
