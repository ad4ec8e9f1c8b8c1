/** Ends a mount, from any process; called by the command line. */
import { setTimeout as sleep } from 'node:timers/promises';
import { TsdupError, UsageError } from '../errors.js';
import { detach } from './detach.js';
import { findHolder, isAlive, wake } from './holder.js';
import { canonical, isDead } from './mountpoint.js';
import { allMounts, listMounts } from './table.js';

/** Milliseconds: longer than any request a mount may still be answering. */
const PATIENCE = 40_000;

/**
 * Unmounts `mountpoint`, or the user's only tsdup mount, and returns its path when it is gone and its
 * process has ended. A mount whose process has died is cleared away. Throws `UsageError` when there is
 * nothing, or no one thing, to unmount, `TsdupError` when it is in use.
 */
export async function umount(mountpoint?: string): Promise<string> {
	const path = mountpoint === undefined ? await onlyMount() : await givenMount(mountpoint);
	const holder = await findHolder(path);
	if (holder) wake(holder);
	await detach(path, { lazy: await isDead(path) });
	if (holder === undefined || holder.pid === process.pid) return path;
	for (const end = Date.now() + PATIENCE; Date.now() < end; await sleep(20)) {
		if (!isAlive(holder)) return path;
	}
	throw new TsdupError(
		`${path} is unmounted, but its process ${holder.pid} has not ended; see its log, or end it with kill`,
	);
}

async function onlyMount(): Promise<string> {
	const [mount, ...others] = await listMounts();
	if (mount === undefined) throw new UsageError('nothing to unmount: you have no tsdup mount');
	if (others.length > 0) throw new UsageError(`which mount? Name one of:${listed([mount, ...others])}`);
	return mount.mountpoint;
}

async function givenMount(mountpoint: string): Promise<string> {
	const path = await canonical(mountpoint);
	const mounts = await allMounts();
	if (mounts.some((mount) => mount.mountpoint === path)) return path;
	throw new UsageError(
		`${path} is no tsdup mount${mounts.length === 0 ? '; there is none' : `; there are:${listed(mounts)}`}`,
	);
}

function listed(mounts: { mountpoint: string; source: string }[]): string {
	return mounts.map((mount) => `\n  ${mount.mountpoint} (${mount.source})`).join('');
}
