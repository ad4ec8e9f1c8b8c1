/**
 * Extents to bytes. Everything that reads what volumes and sigtars hold comes through here: frames are kept in
 * memory (decoded) and on disk (as stored), one that several readers want at once is fetched once, and no byte is
 * returned before its frame's digest matched.
 */
import { LRUCache } from 'lru-cache';
import { DamageError, MissingObjectError } from '../errors.js';
import type { Extent } from '../index/extents.js';
import type { LocatedVolume } from '../index/index.js';
import type { Target } from '../target/target.js';
import type { StoredVolume } from '../volume/frame.js';
import { decodeFrame, frameAt, frameRange } from '../volume/reader.js';
import type { BlockCache } from './blocks.js';
import type { ForeignObjects } from './foreign.js';

/** Decoded frames kept in memory, bytes: enough for several readers going through files side by side. */
const MEMORY_LIMIT = 64 * 2 ** 20;
/** Volumes whose frame tables are kept. One of 200 MB has some hundred frames, about 100 bytes each. */
const VOLUMES_KEPT = 200;

export class Content {
	readonly #target: Target;
	readonly #blocks: BlockCache | null;
	readonly #foreign: ForeignObjects;
	readonly #volumes = new LRUCache<number, LocatedVolume>({ max: VOLUMES_KEPT });
	readonly #frames = new LRUCache<string, Buffer>({
		maxSize: MEMORY_LIMIT,
		sizeCalculation: (frame) => frame.length || 1,
	});
	readonly #inFlight = new Map<string, Promise<Buffer>>();

	/**
	 * @param blocks null keeps nothing of the target's on disk
	 * @param foreign says where volumes lie, and makes copies of those that cannot be read from the middle
	 */
	constructor(target: Target, blocks: BlockCache | null, foreign: ForeignObjects) {
		this.#target = target;
		this.#blocks = blocks;
		this.#foreign = foreign;
	}

	/** The bytes of the extents, joined. @throws DamageError, TargetError */
	async read(extents: readonly Extent[]): Promise<Buffer> {
		const pieces: Buffer[] = [];
		for (const extent of extents) {
			let offset = extent.offset;
			const end = extent.offset + extent.length;
			while (offset < end) {
				const piece = await this.#piece(extent.volume, offset, end);
				// Frames leave no gaps; an index that does would keep this loop for ever.
				if (piece.length === 0) throw new DamageError('The index has a gap: run `tsdup index rebuild`.');
				pieces.push(piece);
				offset += piece.length;
			}
		}
		return pieces.length === 1 ? (pieces[0] as Buffer) : Buffer.concat(pieces);
	}

	/** Tar bytes from `offset`, up to `end` or the end of the frame that holds `offset`. */
	async #piece(id: number, offset: number, end: number): Promise<Buffer> {
		const volume = await this.#volume(id, false);
		if (offset < 0 || end > volume.tarLength) {
			throw new DamageError(
				`The index points beyond the end of ${volume.name}: run \`tsdup index rebuild\`.`,
			);
		}
		const number = frameAt(volume, offset);
		const start = volume.frames[number]?.tarOffset ?? 0;
		const bytes = await this.#frame(id, volume, number);
		return bytes.subarray(offset - start, Math.min(bytes.length, end - start));
	}

	#frame(id: number, volume: LocatedVolume, number: number): Promise<Buffer> {
		const key = `${id}.${number}`;
		const kept = this.#frames.get(key);
		if (kept) return Promise.resolve(kept);
		let pending = this.#inFlight.get(key);
		if (!pending) {
			pending = (volume.cached ? this.#fromCopy(id, volume, number) : this.#fetch(volume, number))
				.then((frame) => {
					this.#frames.set(key, frame);
					return frame;
				})
				.finally(() => this.#inFlight.delete(key));
			this.#inFlight.set(key, pending);
		}
		return pending;
	}

	async #fetch(volume: StoredVolume, number: number): Promise<Buffer> {
		const cached = await this.#blocks?.get(volume.name, number);
		if (cached) {
			try {
				return await decodeFrame(volume, number, cached);
			} catch (error) {
				if (!(error instanceof DamageError)) throw error;
				await this.#blocks?.remove(volume.name, number);
			}
		}
		const { offset, length } = frameRange(volume, number);
		const bytes = await this.#target.read(volume.name, offset, length);
		const frame = await decodeFrame(volume, number, bytes);
		await this.#blocks?.put(volume.name, number, bytes);
		return frame;
	}

	/** A copy that is gone or damaged is made again: it is only a cache. */
	async #fromCopy(id: number, volume: LocatedVolume, number: number): Promise<Buffer> {
		const { copies } = this.#foreign;
		const read = async (from: LocatedVolume) => {
			const { offset, length } = frameRange(from, number);
			return decodeFrame(from, number, await copies.read(from.name, offset, length));
		};
		const readOrNull = (from: LocatedVolume) =>
			read(from).catch((error) => {
				if (error instanceof DamageError || error instanceof MissingObjectError) return null;
				throw error;
			});
		const frame = await readOrNull(volume);
		if (frame) return frame;
		// Another reader may have made it again meanwhile, under another key.
		this.#volumes.delete(id);
		return (await readOrNull(await this.#volume(id, false))) ?? read(await this.#volume(id, true));
	}

	async #volume(id: number, again: boolean): Promise<LocatedVolume> {
		let volume = again ? undefined : this.#volumes.get(id);
		if (!volume) {
			volume = await this.#foreign.locate(id, again);
			this.#volumes.set(id, volume);
		}
		return volume;
	}
}
