/**
 * Extents to bytes. Everything that reads what volumes and sigtars hold comes through here: frames are kept in
 * memory (decoded) and on disk (as stored), one that several readers want at once is fetched once, and no byte is
 * returned before its frame's digest matched.
 */
import { LRUCache } from 'lru-cache';
import { DamageError } from '../errors.js';
import type { Extent } from '../index/extents.js';
import type { Index, LocatedVolume } from '../index/index.js';
import { seekPoint } from '../index/seek-points.js';
import type { Target } from '../target/target.js';
import type { Frame } from '../volume/frame.js';
import type { ObjectRange } from '../volume/layout.js';
import { decodeFrame, frameAt, frameRange } from '../volume/reader.js';
import { decodeSeekFrame } from '../volume/seek-reader.js';
import type { BlockCache } from './blocks.js';
import type { ForeignObjects } from './foreign.js';

/** Decoded frames kept in memory, bytes: enough for several readers going through files side by side. */
const MEMORY_LIMIT = 64 * 2 ** 20;
/** Volumes whose frame tables are kept. One of 200 MB has some hundred frames, about 100 bytes each. */
const VOLUMES_KEPT = 200;

export interface ContentOptions {
	readonly index: Index;
	readonly target: Target;
	/** null keeps nothing of the target's frames on disk. */
	readonly blocks: BlockCache | null;
	/** Says how volumes are read. */
	readonly foreign: ForeignObjects;
}

export class Content {
	readonly #index: Index;
	readonly #target: Target;
	readonly #blocks: BlockCache | null;
	readonly #foreign: ForeignObjects;
	readonly #volumes = new LRUCache<number, LocatedVolume>({ max: VOLUMES_KEPT });
	readonly #frames = new LRUCache<string, Buffer>({
		maxSize: MEMORY_LIMIT,
		sizeCalculation: (frame) => frame.length || 1,
	});
	readonly #inFlight = new Map<string, Promise<Buffer>>();

	constructor({ index, target, blocks, foreign }: ContentOptions) {
		this.#index = index;
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
		const kept = this.#frames.get(key(id, number));
		if (kept) return Promise.resolve(kept);
		const frame = this.#decoded(id, volume, number);
		// Who came through the two frames before will want the next one.
		const inOrder = this.#frames.has(key(id, number - 1)) && this.#frames.has(key(id, number - 2));
		if (inOrder && number + 1 < volume.frames.length && !this.#frames.has(key(id, number + 1))) {
			this.#decoded(id, volume, number + 1).catch(() => {});
		}
		return frame;
	}

	#decoded(id: number, volume: LocatedVolume, number: number): Promise<Buffer> {
		let pending = this.#inFlight.get(key(id, number));
		if (!pending) {
			pending = this.#read(id, volume, number)
				.then((frame) => {
					this.#frames.set(key(id, number), frame);
					return frame;
				})
				.finally(() => this.#inFlight.delete(key(id, number)));
			this.#inFlight.set(key(id, number), pending);
		}
		return pending;
	}

	/** What this host made of a foreign volume, seek points or a copy, is made again when it does not serve. */
	async #read(id: number, volume: LocatedVolume, number: number): Promise<Buffer> {
		if (volume.kind === 'own') return this.#fetch(id, volume, number);
		try {
			return await this.#fetch(id, volume, number);
		} catch (error) {
			if (!(error instanceof DamageError)) throw error;
		}
		// Another reader may have made it again meanwhile, under another key.
		this.#volumes.delete(id);
		const now = await this.#volume(id, false);
		return this.#fetch(id, now, number).catch(async (error) => {
			if (!(error instanceof DamageError)) throw error;
			return this.#fetch(id, await this.#volume(id, true), number);
		});
	}

	async #fetch(id: number, volume: LocatedVolume, number: number): Promise<Buffer> {
		const { name, kind } = volume;
		const { offset, length } = rangeOf(volume, number);
		const decode = (bytes: Buffer) => this.#decode(id, volume, number, bytes);
		const kept = kind === 'own' ? null : await this.#foreign.readKept(id, offset, length);
		if (kind === 'copy') return decode(kept ?? goneCopy(name));
		for (const near of [async () => kept, async () => this.#blocks?.get(name, number)]) {
			const bytes = await near();
			const frame = bytes && (await decode(bytes).catch(orNull));
			if (frame) return frame;
		}
		const bytes = await this.#target.read(name, offset, length);
		const frame = await decode(bytes);
		await this.#blocks?.put(name, number, bytes);
		return frame;
	}

	async #decode(id: number, volume: LocatedVolume, number: number, bytes: Buffer): Promise<Buffer> {
		if (volume.kind !== 'foreign') return decodeFrame(volume, number, bytes);
		const frame = volume.frames[number];
		const point = frame && seekPoint(this.#index, id, frame);
		if (!point || !volume.key)
			throw new DamageError('The index lost a seek point: run `tsdup index rebuild`.');
		return decodeSeekFrame(volume.name, volume.key, { ...frame, point }, bytes);
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

function rangeOf(volume: LocatedVolume, number: number): ObjectRange {
	// A frame of a foreign volume says itself which bytes of the object it is decoded from.
	return volume.kind === 'foreign' ? (volume.frames[number] as Frame) : frameRange(volume, number);
}

/** What is near may be damaged: then it is read from farther away. */
function orNull(error: unknown): null {
	if (error instanceof DamageError) return null;
	throw error;
}

function goneCopy(name: string): never {
	throw new DamageError(`The copy of ${name} is gone.`);
}

function key(volume: number, frame: number): string {
	return `${volume}.${frame}`;
}
