/** What went wrong with a file of a target folder, as a sentence for people. */
import { TargetError } from '../errors.js';

const REASONS: Readonly<Record<string, string>> = {
	ENOSPC: 'the disk is full',
	EDQUOT: 'the disk quota is used up',
	EACCES: 'permission denied',
	EPERM: 'permission denied',
	EROFS: 'the file system is read-only',
	EIO: 'the disk reports an input/output error',
	ENOENT: 'the folder does not exist',
};

/** `Cannot VERB PATH: reason`, from what node:fs threw. */
export function pathError(verb: string, path: string, cause: unknown): TargetError {
	const code = errno(cause);
	return new TargetError(`Cannot ${verb} ${path}: ${REASONS[code] ?? String(code || cause)}`, { cause });
}

export function errno(error: unknown): string {
	return error instanceof Error && 'code' in error ? String(error.code) : '';
}
