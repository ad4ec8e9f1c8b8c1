/** The checks before a mount; called early, before anything costly is done for it. */
import { constants } from 'node:fs';
import { access, readdir, readlink, realpath, stat } from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';
import { UsageError } from '../errors.js';
import { withDeadline } from './deadline.js';
import { detach } from './detach.js';
import { allMounts, readTable } from './table.js';

/** Milliseconds that a mountpoint may take to say whether its mount is dead. */
const PATIENCE = 5000;

/** Bytes; fuse-native cuts longer paths without a word. */
const LONGEST_PATH = 1023;

/**
 * The absolute path of `path`, which is then an empty directory that can be mounted on. A tsdup mount whose
 * process has died there is cleared away first. Throws `UsageError` saying what to do.
 */
export async function prepareMountpoint(path: string): Promise<string> {
	const mountpoint = await canonical(path);
	if (await isDead(mountpoint)) await clear(mountpoint);

	const entry = (await readTable()).findLast((mount) => mount.mountpoint === mountpoint);
	if (entry !== undefined) {
		throw new UsageError(
			`${mountpoint}: ${entry.source} is mounted here already; unmount it first, or take another directory`,
		);
	}
	try {
		if (!(await stat(mountpoint)).isDirectory()) {
			throw new UsageError(`${mountpoint} is not a directory; a mountpoint must be an empty one`);
		}
		await access(mountpoint, constants.R_OK | constants.W_OK | constants.X_OK);
		if ((await readdir(mountpoint)).length > 0) {
			throw new UsageError(
				`${mountpoint} is not empty; make a directory for the mount: mkdir ${join(path, 'mnt')}`,
			);
		}
	} catch (error) {
		if (error instanceof UsageError) throw error;
		const { code, message } = error as NodeJS.ErrnoException;
		if (code === 'ENOENT') throw new UsageError(`${path} does not exist; make it first: mkdir -p ${path}`);
		if (code === 'EACCES' || code === 'EROFS') {
			throw new UsageError(
				`${mountpoint} cannot be written by you, as FUSE demands of a mountpoint; take another directory`,
			);
		}
		throw new UsageError(`${path} cannot be mounted on: ${message}`, { cause: error });
	}
	if (Buffer.byteLength(mountpoint) > LONGEST_PATH) {
		throw new UsageError(`${mountpoint}: the path is longer than ${LONGEST_PATH} bytes; take a shorter one`);
	}
	return mountpoint;
}

/** `path` as the mount table would show it. Does not touch a mount that it names, by itself or by a symlink: that may be dead or stuck. */
export async function canonical(path: string): Promise<string> {
	const mountpoints = new Set((await allMounts()).map((mount) => mount.mountpoint));
	const absolute = resolve(path);
	if (mountpoints.has(absolute)) return absolute;
	const parent = await realpath(dirname(absolute)).catch(() => dirname(absolute));
	const named = join(parent, basename(absolute));
	if (mountpoints.has(named)) return named;
	const target = resolve(parent, await readlink(named).catch(() => named));
	if (mountpoints.has(target)) return target;
	return realpath(absolute).catch(() => target);
}

/** Whether a FUSE mount stands at `mountpoint` whose process is gone. One that does not answer is not dead. */
export async function isDead(mountpoint: string): Promise<boolean> {
	return withDeadline(stat(mountpoint), PATIENCE).then(
		() => false,
		(error: NodeJS.ErrnoException) => error.code === 'ENOTCONN' || error.code === 'ECONNABORTED',
	);
}

async function clear(mountpoint: string): Promise<void> {
	if (!(await allMounts()).some((mount) => mount.mountpoint === mountpoint)) {
		throw new UsageError(
			`${mountpoint} holds a dead mount of another program; unmount it first: fusermount -u ${mountpoint}`,
		);
	}
	await detach(mountpoint, { lazy: true });
}
