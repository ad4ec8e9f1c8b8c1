/**
 * Reads the commands of an rsync delta as it arrives in pieces of any sizes, to turn it into extents of the new
 * file. Holds a few numbers and never the bytes of a literal. Its input is not trusted.
 */
import { DamageError } from '../errors.js';

const MAGIC = 0x72730236;
const END = 0x00;
/** Up to here an op is itself the length of its literal, in bytes. */
const SHORT_LITERAL = 0x40;
const LITERAL = 0x41;
const COPY = 0x45;
const RESERVED = 0x55;
/** Widths of a command's numbers, in bytes. */
const WIDTHS = [1, 2, 4, 8] as const;

/** Is told the new file's parts in their order; together they are the new file. No part is empty. */
export interface DeltaSink {
	/** The next `length` bytes stand in the delta at `deltaOffset`. Called once per chunk that a literal spans. */
	literal(length: number, deltaOffset: number): void;
	/** The next `length` bytes are those at `offset` of the old file. */
	copy(offset: number, length: number): void;
}

type Awaited = 'magic' | 'command' | 'literal length' | 'copy offset' | 'copy length' | 'literal' | 'nothing';

export class DeltaParser {
	readonly #sink: DeltaSink;
	#awaited: Awaited = 'magic';
	/** Bytes of the delta parsed. */
	#position = 0;
	/** Bytes of the new file told to the sink. */
	#size = 0;
	/** The number being read, and its bytes still to come. */
	#number = 0;
	#numberBytes = 4;
	#copyOffset = 0;
	#copyLengthBytes = 0;
	/** Bytes of the literal still to come. */
	#literal = 0;
	#error: DamageError | undefined;

	constructor(sink: DeltaSink) {
		this.#sink = sink;
	}

	/** Takes the next bytes of the delta. Throws DamageError at a byte that no delta has there, and ever after. */
	push(chunk: Buffer): void {
		if (this.#error) throw this.#error;
		let at = 0;
		while (at < chunk.length) {
			if (this.#awaited === 'literal') {
				const length = Math.min(this.#literal, chunk.length - at);
				this.#sink.literal(length, this.#position);
				at += length;
				this.#position += length;
				this.#literal -= length;
				if (this.#literal === 0) this.#awaited = 'command';
			} else {
				this.#byte(chunk[at] as number);
				at += 1;
				this.#position += 1;
			}
		}
	}

	/** The delta is over. Throws DamageError when its end command has not come. */
	end(): void {
		if (this.#error) throw this.#error;
		if (this.#awaited !== 'nothing') this.#fail(`it is cut off, awaiting a ${this.#awaited}`);
	}

	#byte(byte: number): void {
		if (this.#awaited === 'nothing') this.#fail('bytes follow its end command');
		if (this.#awaited === 'command') {
			this.#command(byte);
			return;
		}
		this.#number = this.#number * 256 + byte;
		if (!Number.isSafeInteger(this.#number)) this.#fail(`its ${this.#awaited} is too large`);
		this.#numberBytes -= 1;
		if (this.#numberBytes === 0) this.#numberRead(this.#number);
	}

	#command(op: number): void {
		if (op === END) {
			this.#awaited = 'nothing';
		} else if (op <= SHORT_LITERAL) {
			this.#beginLiteral(op);
		} else if (op < COPY) {
			this.#await('literal length', WIDTHS[op - LITERAL]);
		} else if (op < RESERVED) {
			this.#await('copy offset', WIDTHS[(op - COPY) >> 2]);
			this.#copyLengthBytes = WIDTHS[(op - COPY) & 3] as number;
		} else {
			this.#fail(`0x${op.toString(16)} is no command`);
		}
	}

	#await(what: Awaited, bytes: number | undefined): void {
		this.#awaited = what;
		this.#number = 0;
		this.#numberBytes = bytes as number;
	}

	#numberRead(number: number): void {
		if (this.#awaited === 'magic') {
			if (number !== MAGIC) this.#fail(`it begins with 0x${number.toString(16)}, which no delta does`);
			this.#awaited = 'command';
		} else if (this.#awaited === 'literal length') {
			this.#beginLiteral(number);
		} else if (this.#awaited === 'copy offset') {
			this.#copyOffset = number;
			this.#await('copy length', this.#copyLengthBytes);
		} else {
			this.#awaited = 'command';
			if (!Number.isSafeInteger(this.#copyOffset + number)) this.#fail('its copy ends too far');
			this.#grow(number);
			this.#sink.copy(this.#copyOffset, number);
		}
	}

	#beginLiteral(length: number): void {
		this.#grow(length);
		this.#literal = length;
		this.#awaited = 'literal';
	}

	#grow(length: number): void {
		// librsync takes an empty command for damage too, so nobody can have restored from one.
		if (length === 0) this.#fail('a command is empty');
		this.#size += length;
		if (!Number.isSafeInteger(this.#size)) this.#fail('the file it makes is too large');
	}

	#fail(what: string): never {
		this.#error = new DamageError(`A stored delta is damaged at its byte ${this.#position}: ${what}`);
		throw this.#error;
	}
}
