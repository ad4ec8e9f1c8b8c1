/** `tsdup restore`: a whole snapshot. */
import type { Command } from 'commander';
import { DamageError, UsageError } from '../errors.js';
import type { Entry } from '../index/entry.js';
import { archive } from '../restore/archive.js';
import { restore } from '../restore/restore.js';
import { count, localTime, type Output, outputOf, printable, size } from './output.js';
import { type OpenSnapshot, openSnapshot } from './snapshot-argument.js';

export interface RestoreChoice {
	force?: boolean;
}

/** What `--force` does. */
export const FORCE = 'overwrite what is there';

export function addRestore(program: Command): void {
	program
		.command('restore <profile> <destination> [time]')
		.description('restore a whole snapshot; destination - writes a tar archive to stdout')
		.option('--force', FORCE)
		.action(
			async (
				profile: string,
				destination: string,
				time: string | undefined,
				choice: RestoreChoice,
				command: Command,
			) => {
				const open = await openSnapshot(profile, time, outputOf(command));
				const root = open.collection.snapshots.root(open.set);
				if (!root) throw new DamageError('The snapshot has no root: run `tsdup index rebuild`.');
				await restoreAndReport(open, root, { destination, name: '.', ...choice }, outputOf(command));
			},
		);
}

export interface Wanted extends RestoreChoice {
	/** `-`: stdout. */
	readonly destination: string;
	/** Of the entry in an archive. */
	readonly name: string;
}

/** Restores `entry` and sets the exit code by the gravest of what went wrong. */
export async function restoreAndReport(
	open: OpenSnapshot,
	entry: Entry,
	wanted: Wanted,
	output: Output,
): Promise<void> {
	try {
		if (wanted.destination === '-') await toStdout(open, entry, wanted, output);
		else await toFolder(open, entry, wanted, output);
	} finally {
		open.collection.close();
	}
}

async function toFolder(
	{ collection, set }: OpenSnapshot,
	entry: Entry,
	{ destination, force = false }: Wanted,
	output: Output,
): Promise<void> {
	const report = await restore(collection.snapshots, set, entry, Buffer.from(destination), {
		force,
		progress: ({ entries, bytes }, path) =>
			output.progress(() => `${count(entries, 'path')}, ${size(bytes)} restored  ${path}`),
	});
	for (const { path, reason } of report.problems) output.warn(`${printable(path.toString())}: ${reason}`);
	if (report.ownersLost > 0) {
		output.warn(
			`${report.ownersLost} of the restored paths had another owner or group, which only root can give them`,
		);
	}
	if (report.devicesLost > 0) output.warn(`${count(report.devicesLost, 'device')} not made: only root can`);
	const problems = report.problems.length > 0 ? ` ${report.problems.length} problems, see above.` : '';
	const skipped = report.skipped > 0 ? ` ${report.skipped} of them were there already.` : '';
	output.summary(
		`Restored ${report.entries} entries, ${size(report.bytes)}, of ${localTime(set.time)} to ${destination}.${skipped}${problems}`,
		{ destination, time: set.time, ...report, problems: report.problems.length },
	);
	if (report.problems.length > 0) process.exitCode = report.exit;
}

async function toStdout(
	{ collection, set }: OpenSnapshot,
	entry: Entry,
	{ name }: Wanted,
	output: Output,
): Promise<void> {
	if (output.json) throw new UsageError('The archive goes to stdout, so --json has no place to write to.');
	if (process.stdout.isTTY) throw new UsageError('This would write a tar archive to the terminal: pipe it.');
	const report = await archive(collection.snapshots, set, entry, Buffer.from(name), write);
	for (const { path, reason } of report.problems) output.warn(`${printable(path.toString())}: ${reason}`);
	output.note(`Wrote ${report.entries} entries, ${size(report.bytes)}, of ${localTime(set.time)}.`);
	if (report.problems.length > 0) process.exitCode = report.exit;
}

function write(bytes: Buffer): Promise<void> {
	return new Promise((resolve, reject) => {
		process.stdout.write(bytes, (error) => (error ? reject(error) : resolve()));
	});
}
