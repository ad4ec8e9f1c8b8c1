/**
 * A file's content as a list of extents: runs of bytes, in order, each pointing at literal bytes in the
 * tar of some volume. Deltas are resolved into extents once, when they are indexed; readers never replay them.
 */
import { DamageError } from '../errors.js';

export interface Extent {
	/** Bytes. */
	readonly length: number;
	/** See `volumeId`. */
	readonly volume: number;
	/** Of the first byte, in the volume's tar. */
	readonly offset: number;
}

/** Volumes of one set are numbered from 1; its sigtar is number 0. */
const NUMBERS_PER_SET = 2 ** 20;

/** One number for a volume of a collection: set times are unique, and 2^31 s × 2^20 stays a safe integer. */
export function volumeId(setTime: number, number: number): number {
	return setTime * NUMBERS_PER_SET + number;
}

export function volumeNumber(id: number): number {
	return id % NUMBERS_PER_SET;
}

export function volumeSetTime(id: number): number {
	return Math.floor(id / NUMBERS_PER_SET);
}

/** Appends, joining what continues the last extent; drops empty ones. */
export function pushExtent(extents: Extent[], next: Extent): void {
	if (next.length === 0) return;
	const last = extents.at(-1);
	if (last && last.volume === next.volume && last.offset + last.length === next.offset) {
		extents[extents.length - 1] = { ...last, length: last.length + next.length };
	} else {
		extents.push(next);
	}
}

export function totalLength(extents: readonly Extent[]): number {
	let total = 0;
	for (const extent of extents) total += extent.length;
	return total;
}

/**
 * Random access to one file's extents: the start of each, for binary search.
 * Built once per open file or delta, used for many slices.
 */
export class ExtentMap {
	readonly length: number;
	readonly #extents: readonly Extent[];
	readonly #starts: Float64Array;

	constructor(extents: readonly Extent[]) {
		this.#extents = extents;
		this.#starts = new Float64Array(extents.length);
		let start = 0;
		extents.forEach((extent, i) => {
			this.#starts[i] = start;
			start += extent.length;
		});
		this.length = start;
	}

	/** The extents of `length` bytes from `offset`. @throws DamageError beyond the end */
	slice(offset: number, length: number): Extent[] {
		if (offset < 0 || length < 0 || offset + length > this.length) {
			throw new DamageError(
				`A delta copies bytes ${offset} to ${offset + length} of a file that has ${this.length}.`,
			);
		}
		const result: Extent[] = [];
		let remaining = length;
		let position = offset;
		for (let i = this.#find(offset); remaining > 0; i++) {
			const extent = this.#extents[i] as Extent;
			const skip = position - (this.#starts[i] as number);
			const take = Math.min(remaining, extent.length - skip);
			result.push({ length: take, volume: extent.volume, offset: extent.offset + skip });
			remaining -= take;
			position += take;
		}
		return result;
	}

	/** Index of the extent that holds `offset`. */
	#find(offset: number): number {
		let low = 0;
		let high = this.#extents.length - 1;
		while (low < high) {
			const middle = (low + high + 1) >> 1;
			if ((this.#starts[middle] as number) <= offset) low = middle;
			else high = middle - 1;
		}
		return low;
	}
}

/**
 * Extents as stored in the index: per extent three LEB128 numbers: its length, the difference of its volume to
 * the one before, and of its offset to the end of the one before (both zigzag). About five bytes an extent.
 */
export function encodeExtents(extents: readonly Extent[]): Buffer {
	const bytes: number[] = [];
	let volume = 0;
	let end = 0;
	for (const extent of extents) {
		pushVarint(bytes, extent.length);
		pushVarint(bytes, zigzag(extent.volume - volume));
		pushVarint(bytes, zigzag(extent.offset - end));
		volume = extent.volume;
		end = extent.offset + extent.length;
	}
	return Buffer.from(bytes);
}

export function decodeExtents(bytes: Buffer): Extent[] {
	const extents: Extent[] = [];
	let position = 0;
	let volume = 0;
	let end = 0;
	const next = () => {
		let value = 0;
		let scale = 1;
		for (;;) {
			const byte = bytes[position++];
			if (byte === undefined) throw new DamageError('The index holds a cut-off list of extents: rebuild it.');
			value += (byte & 0x7f) * scale;
			if (byte < 0x80) return value;
			scale *= 128;
		}
	};
	while (position < bytes.length) {
		const length = next();
		volume += unzigzag(next());
		const offset = end + unzigzag(next());
		extents.push({ length, volume, offset });
		end = offset + length;
	}
	return extents;
}

// Arithmetic instead of bit operations: the numbers go up to 2^53.
function zigzag(n: number): number {
	return n < 0 ? -2 * n - 1 : 2 * n;
}

function unzigzag(n: number): number {
	return n % 2 === 0 ? n / 2 : -(n + 1) / 2;
}

function pushVarint(bytes: number[], n: number): void {
	let rest = n;
	while (rest >= 128) {
		bytes.push((rest % 128) + 128);
		rest = Math.floor(rest / 128);
	}
	bytes.push(rest);
}
