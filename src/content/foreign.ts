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
import type { Frame } from '../volume/frame.js';
import { Audience } from './audience.js';
import { evict } from './eviction.js';
import { type ForeignOptions, fetchObject } from './fetch.js';

/** Bytes of what is kept: some fifty volumes of duplicity's usual size. */
const COPIES_LIMIT = 10 * 2 ** 30;

export class ForeignObjects {
	/** Those who read volumes while they are fetched. */
	readonly audience = new Audience();
	/** Takes a frame that they will want, in memory of its own. */
	onFrame: (id: number, frame: Pick<Frame, 'tarOffset' | 'tarLength'>, bytes: Buffer) => void = () => {};
	/** Where copies are read. */
	readonly #copies: Target;
	readonly #dir: string;
	readonly #options: ForeignOptions;
	readonly #inFlight = new Map<number, Fetching>();
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

	/** Waits until a volume can be read up to a byte of its tar, or is fetched. @throws as `fetch` */
	reach(id: number, end: number): Promise<void> {
		return this.fetch(id, () => (this.#options.index.volume(id)?.tarLength ?? 0) >= end);
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

	/**
	 * Fetches, verifies and indexes an object.
	 * @param isEnough whether the caller need not wait for the rest; asked whenever the index knows more of the object
	 * @throws DamageError, MissingObjectError, KeyError, TargetError
	 */
	fetch(id: number, isEnough: () => boolean = () => false): Promise<void> {
		if (isEnough()) return Promise.resolve();
		const damage = this.#damaged.get(id);
		if (damage) return Promise.reject(damage);
		let fetching = this.#inFlight.get(id);
		if (!fetching) {
			fetching = new Fetching();
			this.#inFlight.set(id, fetching);
			this.#fetch(id, fetching)
				.catch((error) => {
					if (error instanceof DamageError) this.#damaged.set(id, error);
					return error;
				})
				.then((failure) => {
					this.#inFlight.delete(id);
					fetching?.end(failure);
				});
		}
		return fetching.wait(isEnough);
	}

	async #fetch(id: number, fetching: Fetching): Promise<void> {
		const object = foreignObject(this.#options.index, id);
		if (!object) {
			throw new MissingObjectError(
				'It lies in a backup that was deleted meanwhile; if none was, run `tsdup index rebuild`.',
			);
		}
		await mkdir(this.#dir, { recursive: true, mode: 0o700 });
		await fetchObject(object, this.#options, this.#copies, {
			audience: this.audience,
			learnt: () => fetching.learnt(),
			give: (frame, bytes) => this.onFrame(id, frame, bytes),
		});
		await evict(this.#dir, COPIES_LIMIT);
	}
}

/** Those who wait for an object that is being fetched, all of it or as much of it as they need. */
class Fetching {
	#waiting: { isEnough: () => boolean; resolve: () => void; reject: (failure: unknown) => void }[] = [];

	wait(isEnough: () => boolean): Promise<void> {
		return new Promise((resolve, reject) => {
			this.#waiting.push({ isEnough, resolve, reject });
		});
	}

	learnt(): void {
		this.#waiting = this.#waiting.filter(({ isEnough, resolve }) => {
			if (!isEnough()) return true;
			resolve();
			return false;
		});
	}

	end(failure: unknown): void {
		for (const { resolve, reject } of this.#waiting) failure === undefined ? resolve() : reject(failure);
	}
}
