/** `tsdup fetch`: one file or folder of a snapshot. */
import { statSync } from 'node:fs';
import { basename, join } from 'node:path';
import type { Command } from 'commander';
import { UsageError } from '../errors.js';
import { localTime, outputOf } from './output.js';
import { FORCE, type RestoreChoice, restoreAndReport } from './restore.js';
import { openSnapshot } from './snapshot-argument.js';

export function addFetch(program: Command): void {
	program
		.command('fetch <profile> <path> <destination> [time]')
		.description(
			'restore one file or folder; path is relative to the source; destination - writes a tar archive to stdout',
		)
		.option('--force', FORCE)
		.action(
			async (
				profile: string,
				path: string,
				destination: string,
				time: string | undefined,
				choice: RestoreChoice,
				command: Command,
			) => {
				const output = outputOf(command);
				const open = await openSnapshot(profile, time, output);
				const entry = open.collection.snapshots.find(open.set, Buffer.from(path));
				if (!entry) throw new UsageError(`${path} is not in the snapshot of ${localTime(open.set.time)}.`);
				const name = basename(path);
				// As cp does: into a folder that exists, under its own name.
				const inside = destination !== '-' && statSync(destination, { throwIfNoEntry: false })?.isDirectory();
				const at = inside ? join(destination, name) : destination;
				await restoreAndReport(open, entry, { destination: at, name, ...choice }, output);
			},
		);
}
