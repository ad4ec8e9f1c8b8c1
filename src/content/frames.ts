/**
 * Gets the frames of volumes from wherever they are nearest, decoded: what is kept of the object, the cache of blocks, the target.
 * No frame comes out before its digest matched.
 */
import { DamageError } from '../errors.js';
import type { Index, LocatedVolume } from '../index/index.js';
import { seekPoint } from '../index/seek-points.js';
import type { Target } from '../target/target.js';
import type { Frame } from '../volume/frame.js';
import type { ObjectRange } from '../volume/layout.js';
import { decodeFrame, frameRange } from '../volume/reader.js';
import { decodeSeekFrame } from '../volume/seek-reader.js';
import type { BlockCache } from './blocks.js';
import type { ForeignObjects } from './foreign.js';

export interface FrameOptions {
	readonly index: Index;
	readonly target: Target;
	/** null keeps nothing of the target's frames on disk. */
	readonly blocks: BlockCache | null;
	/** Keeps what was fetched of foreign objects. */
	readonly foreign: ForeignObjects;
}

export class Frames {
	readonly #options: FrameOptions;

	constructor(options: FrameOptions) {
		this.#options = options;
	}

	/** Tar bytes of one frame. @throws DamageError, TargetError */
	async read(id: number, volume: LocatedVolume, number: number): Promise<Buffer> {
		const near = await this.#near(id, volume, number);
		return near ?? this.#far(id, volume, number, await this.#request(volume, number, number));
	}

	/** Those from `first` to `last`; what is not near comes in one request for each run of frames. Each may fail on its own. */
	readRun(id: number, volume: LocatedVolume, first: number, last: number): Map<number, Promise<Buffer>> {
		const numbers = Array.from({ length: last - first + 1 }, (_, i) => first + i);
		const near = Promise.all(numbers.map((number) => this.#near(id, volume, number)));
		const requests = near.then((found) => this.#requests(volume, first, found));
		const frame = async (number: number) => {
			const [found, requested] = [(await near)[number - first], (await requests).get(number)];
			if (found || !requested) return found as Buffer;
			return this.#far(id, volume, number, await requested);
		};
		return new Map(numbers.map((number) => [number, frame(number)]));
	}

	/** For each frame that was not found, the request that brings it. */
	#requests(
		volume: LocatedVolume,
		first: number,
		found: readonly (Buffer | null)[],
	): Map<number, Promise<Requested>> {
		const requests = new Map<number, Promise<Requested>>();
		for (let from = 0; from < found.length; from++) {
			if (found[from]) continue;
			let to = from;
			while (to + 1 < found.length && !found[to + 1]) to++;
			const request = this.#request(volume, first + from, first + to);
			for (; from <= to; from++) requests.set(first + from, request);
		}
		return requests;
	}

	async #request(volume: LocatedVolume, first: number, last: number): Promise<Requested> {
		const { offset } = rangeOf(volume, first);
		const end = rangeOf(volume, last);
		const bytes = await this.#options.target.read(volume.name, offset, end.offset + end.length - offset);
		return { offset, bytes };
	}

	async #far(
		id: number,
		volume: LocatedVolume,
		number: number,
		{ offset, bytes }: Requested,
	): Promise<Buffer> {
		const range = rangeOf(volume, number);
		const stored = bytes.subarray(range.offset - offset, range.offset - offset + range.length);
		const frame = await this.#decode(id, volume, number, stored);
		await this.#options.blocks?.put(volume.name, number, stored);
		return frame;
	}

	/** null when it has to be asked for at the target: also when what is near is damaged. */
	async #near(id: number, volume: LocatedVolume, number: number): Promise<Buffer | null> {
		const { name, kind } = volume;
		const { offset, length } = rangeOf(volume, number);
		const kept = kind === 'own' ? null : await this.#options.foreign.readKept(id, offset, length);
		if (kind === 'copy') return this.#decode(id, volume, number, kept ?? goneCopy(name));
		for (const near of [async () => kept, async () => this.#options.blocks?.get(name, number)]) {
			const bytes = await near();
			const frame = bytes && (await this.#decode(id, volume, number, bytes).catch(orNull));
			if (frame) return frame;
		}
		return null;
	}

	async #decode(id: number, volume: LocatedVolume, number: number, bytes: Buffer): Promise<Buffer> {
		if (volume.kind !== 'foreign') return decodeFrame(volume, number, bytes);
		const frame = volume.frames[number];
		const point = frame && seekPoint(this.#options.index, id, frame);
		if (!point || !volume.key)
			throw new DamageError('The index lost a seek point: run `tsdup index rebuild`.');
		return decodeSeekFrame(volume.name, volume.key, { ...frame, point }, bytes);
	}
}

/** Bytes of an object, and where they begin in it. */
interface Requested {
	readonly offset: number;
	readonly bytes: Buffer;
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
