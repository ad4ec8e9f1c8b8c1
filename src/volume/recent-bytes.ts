/** The last bytes of an object that is being read, as long as it is not known in which runs they are wanted. */
import { createHash } from 'node:crypto';

export class RecentBytes {
	#pieces: { readonly offset: number; readonly bytes: Buffer }[] = [];

	/** @param offset of the bytes in the object, right behind those before */
	add(offset: number, bytes: Buffer): void {
		this.#pieces.push({ offset, bytes });
	}

	/** SHA-256 of a run of the object. It does not begin before the run of the last call: what does is let go. */
	digest(offset: number, length: number): Buffer {
		this.#pieces = this.#pieces.filter((piece) => piece.offset + piece.bytes.length > offset);
		const hash = createHash('sha256');
		for (const piece of this.#pieces) {
			const from = Math.max(offset - piece.offset, 0);
			hash.update(piece.bytes.subarray(from, Math.max(offset + length - piece.offset, from)));
		}
		return hash.digest();
	}
}
