/**
 * Makes what duplicity wrote readable from the middle: an object is fetched once, verified whole, and rewritten in the
 * seekable form into this host's cache, under a key of its own when it was encrypted. On the way it is learnt what
 * lies where in it.
 */
import { randomBytes } from 'node:crypto';
import { mkdir } from 'node:fs/promises';
import { DamageError } from '../errors.js';
import { volumeNumber } from '../index/extents.js';
import { type ForeignObject, foreignObject, type Member, recordMembers } from '../index/foreign.js';
import type { Index, LocatedVolume } from '../index/index.js';
import { addVolume } from '../index/set-import.js';
import type { Encryptor } from '../openpgp/encryptor.js';
import type { Opener } from '../openpgp/opener.js';
import { FolderTarget } from '../target/file.js';
import type { Target } from '../target/target.js';
import { transcode } from '../volume/transcoder.js';
import { VolumeWriter } from '../volume/writer.js';
import { evict } from './eviction.js';
import { fileBody, readWhole } from './stored-bytes.js';

/** Copies are read again and again, and soon thrown away: measured, level 1 writes twice as fast as 6 for a fifth more. */
const COPY_LEVEL = 1;
/** Bytes of all copies: some fifty volumes of duplicity's usual size. */
const COPIES_LIMIT = 10 * 2 ** 30;

export interface ForeignOptions {
	readonly index: Index;
	readonly target: Target;
	readonly opener: Opener;
	/** The folder of copies. */
	readonly dir: string;
}

export class ForeignObjects {
	/** Where copies are read. */
	readonly copies: Target;
	readonly #options: ForeignOptions;
	readonly #inFlight = new Map<number, Promise<void>>();
	/** Objects that turned out to be damaged: not fetched again for every file in them. */
	readonly #damaged = new Map<number, DamageError>();

	constructor(options: ForeignOptions) {
		this.#options = options;
		this.copies = new FolderTarget(options.dir);
	}

	/** How a foreign object's copy is read; makes the copy when there is none, or `again`. @throws as `fetch` */
	async locate(id: number, again: boolean): Promise<LocatedVolume> {
		const { index } = this.#options;
		const known = again ? undefined : index.volume(id);
		if (known) return known;
		await this.fetch(id);
		const made = index.volume(id);
		if (!made) throw new DamageError(`The index lost a volume: run \`tsdup index rebuild\`.`);
		return made;
	}

	/** Fetches, verifies, copies and indexes an object. @throws DamageError, MissingObjectError, KeyError, TargetError */
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
		const { index, dir } = this.#options;
		const object = foreignObject(index, id);
		if (!object) throw new DamageError(`The index knows no volume ${id}: run \`tsdup index rebuild\`.`);
		await mkdir(dir, { recursive: true, mode: 0o700 });
		const name = String(id);
		const file = this.copies.create(name);
		const writer = new VolumeWriter(file, name, object.form === 'gpg' ? ownKey : null, {
			compressLevel: COPY_LEVEL,
		});
		try {
			const members = await readWhole(object, this.#options, (tar) => copyOf(object, tar, writer));
			const volume = await writer.finish();
			await writer.commit();
			index.db
				.transaction(() => {
					addVolume(index, id, object.setTime, volume, true);
					if (volumeNumber(id) > 0 && !object.indexed) recordMembers(index, object, members);
				})
				.immediate();
		} catch (error) {
			await writer.abort();
			throw error;
		}
		await evict(dir, COPIES_LIMIT);
	}
}

/** @returns the bodies of files in it */
async function copyOf(
	object: ForeignObject,
	tar: AsyncIterable<Buffer>,
	writer: VolumeWriter,
): Promise<Member[]> {
	const members: Member[] = [];
	await transcode(tar, object.name, writer, {
		member: (member, offset) => {
			const body = fileBody(member, offset);
			if (body) members.push(body);
			return null;
		},
		damaged: () => {},
	});
	return members;
}

/** A message without recipients: its key is in this host's index only. */
const ownKey: Encryptor = {
	newMessage: async () => ({ header: Buffer.alloc(0), sessionKey: randomBytes(32) }),
};
