/** The last bytes of an object that is being read, as long as it is not known in which runs they are wanted. */
import { Hash } from '../crypto/crypto.js';

export class RecentBytes {
	#pieces: { readonly offset: number; readonly bytes: Buffer }[] = [];

	/** @param offset of the bytes in the object, right behind those before; nobody may change them */
	add(offset: number, bytes: Buffer): void {
		this.#pieces.push({ offset, bytes });
	}

	/** SHA-256 of a run of the object. It does not begin before the run of the last call: what does is let go. */
	async digest(offset: number, length: number): Promise<Buffer> {
		const pieces = this.#pieces.filter((piece) => piece.offset + piece.bytes.length > offset);
		this.#pieces = pieces;
		const hash = new Hash('sha256');
		// As many as there are now: more may come meanwhile.
		for (const { offset: start, bytes } of [...pieces]) {
			const from = Math.max(offset - start, 0);
			await hash.update(bytes.subarray(from, Math.max(offset + length - start, from)));
		}
		return hash.digest();
	}
}
