/**
 * Inflates DEFLATE streams (RFC 1951, 1950) on the thread pool with Intel's ISA-L (native/inflate.cc), at twice the speed of
 * zlib. An inflater's state can be put away and taken up later: then it inflates from the middle of a stream.
 */
import { loadAddon } from '../addon.js';
import { DamageError } from '../errors.js';

export interface Inflated {
	/** Bytes that were written to the output. */
	readonly made: number;
	/** Bytes of the input that are done with. */
	readonly taken: number;
	/** The stream is at its end: what follows in the input does not belong to it. */
	readonly ended: boolean;
	/** CRC-32 of all that was made since the inflater was, or since the last mark. */
	readonly crc: number;
}

interface Native {
	inflater(zlib: boolean, state: Buffer | null): NativeInflater;
}

interface NativeInflater {
	run(input: Buffer, output: Buffer): Promise<Inflated>;
	mark(): Promise<Buffer>;
}

let native: Native | undefined;

/** One call at a time. */
export class Inflater {
	readonly #native: NativeInflater;

	/**
	 * @param format `raw` is bare DEFLATE, `zlib` has a header and a checksum; or the state that `mark` gave. A state must have
	 * been proven to be unaltered: one that was forged can do anything.
	 */
	constructor(start: 'raw' | 'zlib' | Buffer) {
		native ??= loadAddon('inflate', 'libisal2') as Native;
		this.#native = native.inflater(start === 'zlib', typeof start === 'string' ? null : start);
	}

	/**
	 * Goes on until the output is full, the input is used up or the stream ends. Nobody else may use the two until then. When the
	 * output is not full and the stream has not ended, it wants more input.
	 * @throws DamageError when this is no DEFLATE stream
	 */
	async run(input: Buffer, output: Buffer): Promise<Inflated> {
		try {
			return await this.#native.run(input, output);
		} catch (error) {
			throw new DamageError(`the compressed data is damaged: ${(error as Error).message}`, { cause: error });
		}
	}

	/** The state between two runs, about 15 KB. It holds up to 64 KiB of what was inflated. */
	mark(): Promise<Buffer> {
		return this.#native.mark();
	}
}
