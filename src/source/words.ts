/** How what is in the source, why the system refused it, and how many there are is put into messages. */

/** `1 volume`, `2 volumes`. */
export function count(n: number, noun: string): string {
	return `${n} ${noun}${n === 1 ? '' : 's'}`;
}

/** Bytes that are not UTF-8 are shown as replacement characters. */
export function shown(path: Buffer): string {
	return path.length === 0 ? 'The source' : path.toString();
}

/** Why the system refused, in words. */
export function reason(error: unknown): string {
	const { code } = error as NodeJS.ErrnoException;
	if (code === 'EACCES' || code === 'EPERM') return 'permission denied';
	if (code === 'ENOENT') return 'it is not there';
	if (code === 'ENOTDIR') return 'it is not a folder';
	return code ?? (error instanceof Error ? error.message : String(error));
}
