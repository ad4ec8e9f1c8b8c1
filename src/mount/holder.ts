/**
 * Which process holds a mount: written by `serve`, read by `umount`, which returns only when that process
 * has ended and so has closed its caches. A mount without this record can still be unmounted.
 */
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { cacheDirectory } from '../cache-directory.js';

export interface Holder {
	pid: number;
	/** In the kernel's ticks since boot: tells the process from a later one with the same pid. */
	started: string;
}

/** Records this process as the holder of `mountpoint`. */
export async function recordHolder(mountpoint: string): Promise<void> {
	const holder: Holder = { pid: process.pid, started: startOf(process.pid) ?? '' };
	await writeFile(await recordOf(mountpoint), JSON.stringify(holder), { mode: 0o600 });
}

export async function forgetHolder(mountpoint: string): Promise<void> {
	await rm(await recordOf(mountpoint), { force: true });
}

/** The process that holds `mountpoint`, if it is known and lives. */
export async function findHolder(mountpoint: string): Promise<Holder | undefined> {
	try {
		const holder = JSON.parse(await readFile(await recordOf(mountpoint), 'utf8')) as Holder;
		return isAlive(holder) ? holder : undefined;
	} catch {
		return undefined;
	}
}

export function isAlive(holder: Holder): boolean {
	return startOf(holder.pid) === holder.started;
}

/**
 * Lets a process go on that was stopped (^Z, SIGSTOP): while it is, whoever looks at its mount waits for it, the programs that unmount
 * included.
 */
export function wake(holder: Holder): void {
	try {
		// Whether or not it looks stopped: one that is just being stopped does not look so yet.
		process.kill(holder.pid, 'SIGCONT');
	} catch {
		// It has ended meanwhile.
	}
}

/**
 * Field 22 of /proc/PID/stat; the name in field 2 may itself hold spaces and parentheses. A zombie (field 3) has
 * ended, but only with the last of its threads (field 20) are its files closed.
 */
function startOf(pid: number): string | undefined {
	const fields = statusOf(pid);
	const ended = fields?.[0] === 'Z' && Number(fields[17]) <= 1;
	return ended ? undefined : fields?.[19];
}

/** Fields 3 and following of /proc/PID/stat; undefined when there is no such process. */
function statusOf(pid: number): string[] | undefined {
	try {
		const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
		return stat.slice(stat.lastIndexOf(')') + 2).split(' ');
	} catch {
		return undefined;
	}
}

async function recordOf(mountpoint: string): Promise<string> {
	const name = createHash('sha256').update(mountpoint).digest('hex').slice(0, 32);
	return join(await cacheDirectory('mounts'), `${name}.json`);
}
