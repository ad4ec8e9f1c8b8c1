/** The walk of a backup: what differs from the snapshot before; what could not be looked at is told and counted. */
import { statSync } from 'node:fs';
import { sourcePath } from '../source/source.js';
import { type Before, type Change, walk } from '../source/walk.js';
import { reason, shown } from '../source/words.js';
import type { BackupOptions } from './options.js';
import type { Counts } from './report.js';

export function changes(
	{ source: root, selection, reporter }: Pick<BackupOptions, 'source' | 'selection' | 'reporter'>,
	counts: Counts,
	before: Before | null,
): Generator<Change> {
	const { dev: device } = statSync(sourcePath(root, Buffer.alloc(0)), { bigint: true });
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
	);
}
