/**
 * Takes the length octets out of a packet's body (RFC 9580 4.2.1), which stand between its chunks when its length was not known
 * beforehand. Synchronous; for bodies that are read from the middle.
 */

/** Where body bytes begin among others. */
export interface BodyStart {
	/** Bytes before the first body byte. */
	readonly skip: number;
	/** Body bytes from there to the end of its chunk. */
	readonly left: number;
}

export class PartialLengths {
	/** Bytes that were behind the body's end. */
	loose = 0;
	/** Body bytes to come before the next length octet. */
	#left: number;
	/** Whether another length follows the chunk. */
	#more = true;
	/** Octets of a length that was cut in two. */
	#octets: number[] = [];

	/** @param left body bytes before the first length octet */
	constructor(left = 0) {
		this.#left = left;
	}

	/** All of the body was seen. */
	get ended(): boolean {
		return this.#left === 0 && !this.#more;
	}

	/**
	 * The body bytes among `bytes`, as a view of them where there are no length octets between them.
	 * @param run told of each run of `length` body bytes
	 * @param into where they are put together otherwise; may be `bytes`, or has room for them
	 */
	push(
		bytes: Buffer,
		run: (start: BodyStart, length: number) => void = () => {},
		into: Buffer | null = null,
	): Buffer {
		let body: Buffer | null = null;
		let filled = 0;
		let at = 0;
		while (at < bytes.length && !this.ended) {
			if (this.#left === 0) {
				this.#octet(bytes[at] as number);
				at += 1;
				continue;
			}
			const length = Math.min(this.#left, bytes.length - at);
			run({ skip: at, left: this.#left }, length);
			this.#left -= length;
			if (length === bytes.length) return bytes;
			// Copied as a whole and then moved up within: that makes no view for each run, of which there are many.
			body ??= into === bytes ? bytes : copied(bytes, into);
			body.copyWithin(filled, at, at + length);
			filled += length;
			at += length;
		}
		this.loose += bytes.length - at;
		return body?.subarray(0, filled) ?? bytes.subarray(0, 0);
	}

	#octet(octet: number): void {
		const octets = this.#octets;
		octets.push(octet);
		const first = octets[0] as number;
		if (first >= 224 && first < 255) this.#begin(2 ** (first & 31), true);
		else if (first < 192) this.#begin(first, false);
		else if (first < 224 && octets.length === 2) this.#begin(((first - 192) << 8) + octet + 192, false);
		else if (octets.length === 5) this.#begin(Buffer.from(octets).readUInt32BE(1), false);
	}

	#begin(left: number, more: boolean): void {
		this.#left = left;
		this.#more = more;
		this.#octets = [];
	}
}

function copied(bytes: Buffer, into: Buffer | null): Buffer {
	const copy = into ?? Buffer.allocUnsafeSlow(bytes.length);
	bytes.copy(copy);
	return copy;
}
