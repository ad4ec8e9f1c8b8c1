/**
 * rsync deltas: what turns the content that a signature describes into the content given here. The backup writes
 * them for changed files. Signatures of every librsync kind are taken.
 */
import { native, type Run } from './native.js';
import { checkSignature } from './signature.js';

/** The delta to a whole file held in memory, in one job on the thread pool. Throws DamageError for a bad signature. */
export async function deltaOf(signature: Buffer, content: Buffer): Promise<Buffer> {
	checkSignature(signature);
	return native().deltaJob(signature)(content, true);
}

/**
 * The delta to a file that is read in pieces, of any sizes; pieces of at least the signature's block length are
 * fastest. Await each call before the next; a chunk must not change until its call has settled. The delta is all
 * the calls' bytes together.
 */
export class DeltaStream {
	readonly #run: Run;

	/** The signature is copied. Throws DamageError when it is bad. */
	constructor(signature: Buffer) {
		checkSignature(signature);
		this.#run = native().deltaJob(signature);
	}

	/** Resolves to the delta bytes that became available, maybe none. */
	async update(chunk: Buffer): Promise<Buffer> {
		return this.#run(chunk, false);
	}

	/** The file is over; resolves to the rest of the delta. */
	async final(): Promise<Buffer> {
		return this.#run(Buffer.alloc(0), true);
	}
}
