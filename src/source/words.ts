/** How what is in the source, and why the system refused it, is put into messages. */

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
