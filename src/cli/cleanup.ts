/** `tsdup cleanup`: deletes what belongs to no backup. */
import type { Command } from 'commander';
import { openProfile } from '../collection/access.js';
import { findProfile } from '../profile/find.js';
import { cleanup } from '../retention/retention.js';
import { type Output, outputOf } from './output.js';
import type { PurgeOptions } from './purge-profile.js';
import { dates, printRemovals } from './retention-report.js';

export function addCleanup(program: Command): void {
	program
		.command('cleanup <profile>')
		.description('list what belongs to no backup, as after an interrupted run; with --force delete it')
		.option('--force', 'delete it')
		.addHelpText(
			'after',
			'\nNothing else, like duplicity or another host, must back up to the target meanwhile.',
		)
		.action((profile: string, options: PurgeOptions, command: Command) =>
			cleanupProfile(profile, options, outputOf(command)),
		);
}

export async function cleanupProfile(
	profile: string,
	{ force = false }: PurgeOptions,
	output: Output,
): Promise<void> {
	const access = await openProfile(findProfile(profile));
	for (const warning of access.warnings) output.note(warning);
	const report = await cleanup({ ...access, force });
	if (report.unsupported.length > 0) {
		output.warn(
			'some objects are encrypted by gpgsm, which tsdup does not open; so it cannot tell what belongs to no backup',
		);
	}
	if (report.mended.length > 0) {
		output.note(`Only the manifest is lost of ${dates(report.mended)}: what tsdup still shows stays.`);
	}
	printRemovals(report, force, output);
}
