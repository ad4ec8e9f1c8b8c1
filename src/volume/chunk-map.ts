/** Where the bytes of a packet's body lie in its object, when length octets stand between them. */
export class ChunkMap {
	/** Body bytes so far. */
	#length = 0;
	/** Of each run of body bytes: where it begins in the body and in the object, and what its chunk has left from there. */
	readonly #starts: number[] = [];
	readonly #offsets: number[] = [];
	readonly #left: number[] = [];

	/** The next `length` body bytes lie at `offset` of the object, in a chunk that has `left` bytes from there. */
	add(offset: number, left: number, length: number): void {
		this.#starts.push(this.#length);
		this.#offsets.push(offset);
		this.#left.push(left);
		this.#length += length;
	}

	/** @param position of a body byte that was added */
	locate(position: number): { offset: number; left: number } {
		let low = 0;
		let high = this.#starts.length - 1;
		while (low < high) {
			const middle = (low + high + 1) >> 1;
			if ((this.#starts[middle] as number) <= position) low = middle;
			else high = middle - 1;
		}
		const into = position - (this.#starts[low] as number);
		return { offset: (this.#offsets[low] as number) + into, left: (this.#left[low] as number) - into };
	}
}
