/** The log that `--log` names: all that is said, with times. Kept at two files of about a mebibyte; for its owner alone. */
import { appendFileSync, closeSync, openSync, renameSync, statSync } from 'node:fs';
import { TsdupError } from '../errors.js';

/** Bytes; a log this large is put aside as FILE.1 when the next command begins. */
const FULL = 1 << 20;

/** @returns what appends a line. @throws TsdupError when the file cannot be written */
export function openLogFile(path: string): (line: string) => void {
	try {
		if ((statSync(path, { throwIfNoEntry: false })?.size ?? 0) > FULL) renameSync(path, `${path}.1`);
		closeSync(openSync(path, 'a', 0o600));
	} catch (cause) {
		throw new TsdupError(`The log ${path} cannot be written: ${(cause as Error).message}`, { cause });
	}
	return (line) => {
		// A disk that is full must not end a backup.
		try {
			appendFileSync(path, `${new Date().toISOString()} ${line}\n`);
		} catch {}
	};
}
