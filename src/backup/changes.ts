/** The walk of a backup: what differs from the snapshot before; what could not be looked at is told and counted. */
import { createHash } from 'node:crypto';
import { statSync } from 'node:fs';
import { FolderDigests } from '../index/folders.js';
import type { Change, FolderEnd } from '../source/change.js';
import type { Before } from '../source/former.js';
import { sourcePath } from '../source/source.js';
import { walk } from '../source/walk.js';
import { reason, shown } from '../source/words.js';
import type { BackupOptions } from './options.js';
import type { Counts } from './report.js';

/** @param digests whether folders that are as before may be passed over */
export function changes(
	{ source: root, selection, reporter, plan, selectsByAge }: ChangesOptions,
	counts: Counts,
	before: Before | null,
	digests: boolean,
): Generator<Change | FolderEnd> {
	const { dev: device } = statSync(sourcePath(root, Buffer.alloc(0)), { bigint: true });
	const folders = digests && !selectsByAge ? new FolderDigests(seedOf(plan, device), before) : null;
	return walk(
		{
			root,
			device,
			selection,
			unreadable: (path, error) => {
				counts.warnings++;
				reporter.warn(`${shown(path)} cannot be read: ${reason(error)}`);
			},
			skipped: (path) => reporter.note(`${shown(path)}: sockets are not backed up.`),
		},
		before,
		folders,
	);
}

type ChangesOptions = Pick<BackupOptions, 'source' | 'selection' | 'reporter' | 'plan' | 'selectsByAge'>;

/** What is selected of a folder depends on these and on what lstat tells: rules may ask for what is on another file system. */
function seedOf(plan: string, device: bigint): Buffer {
	return createHash('sha256').update(`${device} ${plan}`).digest();
}
