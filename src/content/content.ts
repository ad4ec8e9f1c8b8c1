/**
 * Extents to bytes. Everything that reads what volumes and sigtars hold comes through here: frames are kept in
 * memory, one that several readers want at once is fetched once, those that a reader will want next are got ready, and no byte is
 * returned before its frame's digest matched.
 */
import { LRUCache } from 'lru-cache';
import { DamageError } from '../errors.js';
import type { Extent } from '../index/extents.js';
import type { LocatedVolume } from '../index/index.js';
import type { Frame } from '../volume/frame.js';
import { frameAt, frameOf } from '../volume/reader.js';
import type { ForeignObjects } from './foreign.js';
import type { Frames } from './frames.js';
import { Sequences } from './sequences.js';

/** Decoded frames kept in memory, bytes: enough for several readers going through files side by side. */
const MEMORY_LIMIT = 64 * 2 ** 20;
/** Volumes whose frame tables are kept. One of 200 MB has some hundred frames, about 100 bytes each. */
const VOLUMES_KEPT = 200;

export class Content {
	readonly #source: Frames;
	/** Says how volumes are read. */
	readonly #foreign: ForeignObjects;
	readonly #sequences = new Sequences();
	readonly #volumes = new LRUCache<number, LocatedVolume>({ max: VOLUMES_KEPT });
	readonly #frames = new LRUCache<string, Buffer>({
		maxSize: MEMORY_LIMIT,
		sizeCalculation: (frame) => frame.length || 1,
	});
	readonly #inFlight = new Map<string, Promise<Buffer>>();
	/** Volumes that are being located: many readers begin at once. */
	readonly #locating = new Map<number, Promise<LocatedVolume>>();

	constructor(frames: Frames, foreign: ForeignObjects) {
		this.#source = frames;
		this.#foreign = foreign;
	}

	/** The bytes of the extents, joined. @throws DamageError, TargetError */
	async read(extents: readonly Extent[]): Promise<Buffer> {
		const pieces = await this.pieces(extents);
		return pieces.length === 1 ? (pieces[0] as Buffer) : Buffer.concat(pieces);
	}

	/** The same in pieces, as frames and extents cut them; parts of frames, so nobody may change them. */
	async pieces(extents: readonly Extent[]): Promise<Buffer[]> {
		const pieces: Buffer[] = [];
		for (const extent of extents) {
			let offset = extent.offset;
			const end = extent.offset + extent.length;
			while (offset < end) {
				const volume = this.#volumes.get(extent.volume) ?? (await this.#volume(extent.volume, false));
				const piece = this.#piece(volume, extent.volume, offset, end);
				// What is in memory is not waited for: most small files are.
				const bytes = piece instanceof Promise ? await piece : piece;
				// Frames leave no gaps; an index that does would keep this loop for ever.
				if (bytes.length === 0) throw gap();
				pieces.push(bytes);
				offset += bytes.length;
			}
		}
		return pieces;
	}

	/** Sets have gone: what is known of their volumes may be of others' soon. */
	forget(): void {
		this.#volumes.clear();
		this.#locating.clear();
	}

	/** Tar bytes from `offset`, up to `end` or the end of the frame that holds `offset`. */
	#piece(volume: LocatedVolume, id: number, offset: number, end: number): Buffer | Promise<Buffer> {
		if (offset < 0 || end > volume.tarLength) {
			throw new DamageError(
				`The index points beyond the end of ${volume.name}: run \`tsdup index rebuild\`.`,
			);
		}
		const number = frameAt(volume, offset);
		const place = frameOf(volume, number);
		const at = key(id, place);
		const start = place.tarOffset;
		const cut = (frame: Buffer) => frame.subarray(offset - start, Math.min(frame.length, end - start));
		const frame =
			this.#frames.get(at) ?? this.#inFlight.get(at) ?? this.#note(at, this.#read(id, volume, number));
		this.#getReady(id, volume, number);
		return frame instanceof Promise ? frame.then(cut) : cut(frame);
	}

	/** What the reader of this frame will want next. */
	#getReady(id: number, volume: LocatedVolume, number: number): void {
		const run = this.#sequences.advance(id, number, volume.frames.length, volume.tarLength);
		if (!run) return;
		const at = (n: number) => key(id, frameOf(volume, n));
		const isHere = (n: number) => this.#frames.has(at(n)) || this.#inFlight.has(at(n));
		let { first, last } = run;
		while (first <= last && isHere(first)) first++;
		while (first <= last && isHere(last)) last--;
		if (first > last) return;
		for (const [n, frame] of this.#source.readRun(id, volume, first, last)) {
			if (isHere(n)) frame.catch(() => {});
			// Somebody may wait for it by then: it is tried again as if he had asked for it alone.
			else
				this.#note(
					at(n),
					frame.catch(() => this.#read(id, volume, n)),
				).catch(() => {});
		}
	}

	#note(at: string, reading: Promise<Buffer>): Promise<Buffer> {
		const pending = reading
			.then((frame) => {
				this.#frames.set(at, frame);
				return frame;
			})
			.finally(() => this.#inFlight.delete(at));
		this.#inFlight.set(at, pending);
		return pending;
	}

	/** What this host made of a foreign volume, seek points or a copy, is made again when it does not serve. */
	async #read(id: number, volume: LocatedVolume, number: number): Promise<Buffer> {
		if (volume.kind === 'own') return this.#source.read(id, volume, number);
		try {
			return await this.#source.read(id, volume, number);
		} catch (error) {
			if (!(error instanceof DamageError)) throw error;
		}
		// Another reader may have made it again meanwhile, under another key.
		this.#volumes.delete(id);
		const place = frameOf(volume, number);
		return this.#again(id, await this.#volume(id, false), place).catch(async (error) => {
			if (!(error instanceof DamageError)) throw error;
			return this.#again(id, await this.#volume(id, true), place);
		});
	}

	/** The tar bytes of what was a frame: the volume may have others now. */
	async #again(id: number, volume: LocatedVolume, { tarOffset, tarLength }: Frame): Promise<Buffer> {
		const end = tarOffset + tarLength;
		const pieces: Buffer[] = [];
		for (let offset = tarOffset; offset < end; ) {
			const number = frameAt(volume, offset);
			const frame = await this.#source.read(id, volume, number);
			const start = frameOf(volume, number).tarOffset;
			const piece = frame.subarray(offset - start, end - start);
			if (piece.length === 0) throw gap();
			pieces.push(piece);
			offset += piece.length;
		}
		return Buffer.concat(pieces);
	}

	async #volume(id: number, again: boolean): Promise<LocatedVolume> {
		const known = again ? undefined : (this.#volumes.get(id) ?? this.#locating.get(id));
		return known ?? this.#locate(id, again);
	}

	async #locate(id: number, again: boolean): Promise<LocatedVolume> {
		const locating = this.#foreign.locate(id, again);
		this.#locating.set(id, locating);
		// Not when it was forgotten, or is located again, meanwhile.
		const isAwaited = () => this.#locating.get(id) === locating;
		try {
			const volume = await locating;
			if (isAwaited()) this.#volumes.set(id, volume);
			return volume;
		} finally {
			if (isAwaited()) this.#locating.delete(id);
		}
	}
}

function gap(): DamageError {
	return new DamageError('The index has a gap: run `tsdup index rebuild`.');
}

/**
 * By its place in the tar: a foreign volume that is scanned again may have other frames. And by its digest: a set may have taken the
 * place, and the time, of one that has gone.
 */
function key(volume: number, { tarOffset, tarLength, digest }: Frame): string {
	return `${volume}.${tarOffset}.${tarLength}.${digest.toString('latin1')}`;
}
