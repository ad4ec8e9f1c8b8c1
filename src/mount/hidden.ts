/** What a mountpoint must not hide: the places that tsdup itself works in. Called before the mount, when these are known. */
import { realpath } from 'node:fs/promises';
import { join } from 'node:path';
import { UsageError } from '../errors.js';

export interface TsdupPlace {
	/** As in `… is the source of home`. */
	readonly what: string;
	readonly path: string;
	/** Whether nothing below it may be mounted on either. */
	readonly whole: boolean;
}

/** @param mountpoint absolute, without symlinks. @throws UsageError */
export async function refuseToHide(mountpoint: string, places: readonly TsdupPlace[]): Promise<void> {
	for (const { what, path, whole } of places) {
		const real = await realpath(path).catch(() => path);
		const isIt = mountpoint === real;
		if (!isIt && !(whole && mountpoint.startsWith(join(real, '/')))) continue;
		const words = isIt ? `is ${what}` : `lies in ${what}`;
		throw new UsageError(`${mountpoint} ${words}, which a mount would hide; take another directory`);
	}
}
