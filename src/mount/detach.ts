/** Takes a mount out of the tree with the system's own programs; called by `umount`, drivers and signals. */
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { TsdupError } from '../errors.js';

const run = promisify(execFile);

/**
 * Unmounts `mountpoint` (absolute). `lazy` takes it out of sight even when in use; the file system then
 * ends with its last user. Throws `TsdupError` when in use or refused.
 */
export async function detach(mountpoint: string, { lazy = false } = {}): Promise<void> {
	const commands = [
		['fusermount3', lazy ? '-uz' : '-u'],
		['fusermount', lazy ? '-uz' : '-u'],
	];
	if (process.getuid?.() === 0) commands.unshift(lazy ? ['umount', '-l'] : ['umount']);
	for (const [program = '', ...options] of commands) {
		try {
			await run(program, [...options, '--', mountpoint], { env: { ...process.env, LC_ALL: 'C' } });
			return;
		} catch (cause) {
			const { code, stderr } = cause as { code?: unknown; stderr?: string };
			if (code === 'ENOENT') continue;
			if (/busy/i.test(stderr ?? '')) {
				throw new TsdupError(
					`${mountpoint} is in use: leave it in every shell and close its files (to see whose: fuser -vm ${mountpoint})`,
				);
			}
			throw new TsdupError(`cannot unmount ${mountpoint}: ${stderr?.trim() || String(cause)}`, { cause });
		}
	}
	throw new TsdupError(`cannot unmount ${mountpoint}: there is no fusermount; install fuse3`);
}
