/** `tsdup purge-full`: deletes all but the newest full backups and their increments. */
import type { Command } from 'commander';
import { ruleOf } from '../retention/conf.js';
import { outputOf } from './output.js';
import { type PurgeOptions, purgeProfile } from './purge-profile.js';

export function addPurgeFull(program: Command): void {
	program
		.command('purge-full <profile> [number]')
		.description(
			'list all but so many full backups with their increments (default: MAX_FULL_BACKUPS of the conf); with --force delete them',
		)
		.option('--force', 'delete them')
		.action((profile: string, number: string | undefined, options: PurgeOptions, command: Command) =>
			purgeProfile(
				profile,
				(conf, now) => [ruleOf('purge-full', number, conf, now)],
				options,
				outputOf(command),
			),
		);
}
