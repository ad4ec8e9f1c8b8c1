/** `tsdup fetch`: one file or folder of a snapshot. */
import { statSync } from 'node:fs';
import { basename, join } from 'node:path';
import type { Command } from 'commander';
import { UsageError } from '../errors.js';
import { localTime, outputOf } from './output.js';
import { restoreAndReport } from './restore.js';
import { openSnapshot } from './snapshot-argument.js';

export function addFetch(program: Command): void {
	program
		.command('fetch <profile> <path> <destination> [time]')
		.description('restore one file or folder; path is relative to the source')
		.action(
			async (
				profile: string,
				path: string,
				destination: string,
				time: string | undefined,
				_: unknown,
				command: Command,
			) => {
				const open = await openSnapshot(profile, time, outputOf(command));
				const entry = open.collection.snapshots.find(open.set, Buffer.from(path));
				if (!entry) throw new UsageError(`${path} is not in the snapshot of ${localTime(open.set.time)}.`);
				// As cp does: into a folder that exists, under its own name.
				const inside = statSync(destination, { throwIfNoEntry: false })?.isDirectory();
				await restoreAndReport(
					open,
					entry,
					inside ? join(destination, basename(path)) : destination,
					command,
				);
			},
		);
}
