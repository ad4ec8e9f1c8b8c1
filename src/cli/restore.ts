/** `tsdup restore`: a whole snapshot. */
import type { Command } from 'commander';
import { DamageError } from '../errors.js';
import type { Entry } from '../index/entry.js';
import { restore } from '../restore/restore.js';
import { localTime, outputOf, printable, size } from './output.js';
import { type OpenSnapshot, openSnapshot } from './snapshot-argument.js';

export function addRestore(program: Command): void {
	program
		.command('restore <profile> <destination> [time]')
		.description('restore a whole snapshot into an absent or empty folder')
		.action(
			async (
				profile: string,
				destination: string,
				time: string | undefined,
				_: unknown,
				command: Command,
			) => {
				const open = await openSnapshot(profile, time, outputOf(command));
				const root = open.collection.snapshots.root(open.set);
				if (!root) throw new DamageError('The snapshot has no root: run `tsdup index rebuild`.');
				await restoreAndReport(open, root, destination, command);
			},
		);
}

/** Restores `entry` as `destination` and sets the exit code by the gravest of what went wrong. */
export async function restoreAndReport(
	{ collection, set }: OpenSnapshot,
	entry: Entry,
	destination: string,
	command: Command,
): Promise<void> {
	const output = outputOf(command);
	const report = await restore(collection.snapshots, set, entry, Buffer.from(destination));
	for (const { path, reason } of report.problems) output.warn(`${printable(path.toString())}: ${reason}`);
	const problems = report.problems.length > 0 ? ` ${report.problems.length} problems, see above.` : '';
	output.summary(
		`Restored ${report.entries} entries, ${size(report.bytes)}, of ${localTime(set.time)} to ${destination}.${problems}`,
		{
			destination,
			time: set.time,
			entries: report.entries,
			bytes: report.bytes,
			problems: report.problems.length,
		},
	);
	if (report.problems.length > 0) process.exitCode = report.exit;
	collection.close();
}
