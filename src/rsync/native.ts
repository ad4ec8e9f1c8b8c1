/**
 * The native addon (native/librsync.cc), for signature.ts and delta.ts. It is loaded when first used, so that
 * what needs no librsync works without it.
 */
import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { TsdupError } from '../errors.js';

/**
 * Feeds the next bytes of a file to a job on a pool thread; resolves to the output available so far, maybe empty.
 * The chunk must not change until then. Throws while the call before is not settled, and after the last one.
 */
export type Run = (chunk: Buffer, last: boolean) => Promise<Buffer>;

interface Native {
	/** The signatures of files whose contents stand one after the other, joined; in one job on a pool thread. */
	signatures(contents: Buffer, lengths: number[], blockLengths: number[]): Promise<Buffer>;
	/** `blockLength` in bytes, at least 1. */
	signatureJob(blockLength: number): Run;
	/** Copies the signature; loads it in the first call of the job. */
	deltaJob(signature: Buffer): Run;
}

let loaded: Native | undefined;

/** Throws TsdupError when the addon is not built or does not load. */
export function native(): Native {
	loaded ??= load();
	return loaded;
}

function load(): Native {
	const root = packageRoot();
	const path = join(root, 'native/build/Release/tsdup.node');
	if (!existsSync(path)) {
		throw new TsdupError(`The native addon is not built (no ${path}): run "npm run setup" in ${root}`);
	}
	try {
		return createRequire(import.meta.url)(path) as Native;
	} catch (cause) {
		throw new TsdupError(
			`The native addon ${path} does not load (${String(cause)}): install librsync2, or run "npm run setup" in ${root}`,
			{ cause },
		);
	}
}

/** The nearest folder above with a package.json: this file lies at different depths before and after compiling. */
function packageRoot(): string {
	let folder = import.meta.dirname;
	while (!existsSync(join(folder, 'package.json')) && folder !== dirname(folder)) folder = dirname(folder);
	return folder;
}
