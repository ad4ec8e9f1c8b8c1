/**
 * The native addon (native/librsync.cc), for signature.ts, delta.ts and read.ts.
 */
import { loadAddon } from '../addon.js';

/**
 * Feeds the next bytes of a file to a job on a pool thread; resolves to the output available so far, maybe empty.
 * The chunk must not change until then. Throws while the call before is not settled, and after the last one.
 */
export type Run = (chunk: Buffer, last: boolean) => Promise<Buffer>;

interface Native {
	/** Reads files and makes their signatures, in one job on a pool thread; see read.ts. */
	readFiles(
		paths: Buffer,
		facts: Float64Array,
		output: Buffer,
		flags: number,
	): Promise<{ read: Buffer; signatures: Buffer }>;
	/** `blockLength` in bytes, at least 1. */
	signatureJob(blockLength: number): Run;
	/** Copies the signature; loads it in the first call of the job. */
	deltaJob(signature: Buffer): Run;
}

let loaded: Native | undefined;

/** @throws TsdupError when the addon is not built or does not load */
export function native(): Native {
	loaded ??= loadAddon('tsdup', 'librsync2') as Native;
	return loaded;
}
