/**
 * What is compared: a program that makes encrypted backups into a folder. Each round makes a new one of each, with a
 * home, caches and a repository of its own.
 */
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { Command } from '../run.js';

export interface Tool {
	readonly name: string;
	/** The folder whose size counts: all that the tool keeps at its target. */
	readonly target: string;
	/** What is done once before the first backup; not measured. */
	prepare(): Promise<void>;
	/** @param label of this backup, unique in the round */
	backup(label: string): Command;
	/** The commands' caches are empty: writes one file of the newest backup to `destination`. */
	fetch(path: string, destination: string): Promise<Command>;
	/** Ends what may still run. */
	close(): Promise<void>;
}

/** One whose backups can be mounted. */
export interface MountingTool extends Tool {
	/** An empty folder. */
	readonly mountpoint: string;
	/** Returns, or goes on running, when the mount stands. */
	mount(): Command;
	/** Whether the mount command stays as long as the mount. */
	readonly staysToServe: boolean;
	umount(): Command;
	/** Where in the mount the source's root of the newest backup is. */
	readonly newest: string;
	/** Restores the newest backup whole. */
	restore(destination: string): Command;
}

export function canMount(tool: Tool): tool is MountingTool {
	return 'mount' in tool;
}

/** Where a tool keeps its backups, if not in a folder: a bucket on an S3 server. */
export interface Bucket {
	readonly endpoint: string;
	readonly name: string;
	readonly accessKeyId: string;
	readonly secretAccessKey: string;
}

export interface ToolKind {
	readonly name: string;
	/** Debian's; null: not one. */
	readonly package: string | null;
	/** The first line of what it prints tells its version. */
	readonly version: readonly [program: string, ...args: string[]];
	/** @param dir the tool's own, absent. @param source what it backs up */
	make(dir: string, source: string): Tool;
}

export const PASSPHRASE = 'correct horse battery staple';

/** An environment that shares nothing with the user's own. */
export function cleanEnvironment(home: string): NodeJS.ProcessEnv {
	return { PATH: process.env.PATH, LANG: 'C.UTF-8', HOME: home, TMPDIR: join(home, 'tmp') };
}

export async function makeHome(home: string): Promise<void> {
	await mkdir(join(home, 'tmp'), { recursive: true });
	await mkdir(join(home, '.gnupg'), { mode: 0o700 });
}
