/** `tsdup purge-incr`: deletes the increments of all but the newest full backups. */
import type { Command } from 'commander';
import { ruleOf } from '../retention/conf.js';
import { outputOf } from './output.js';
import { type PurgeOptions, purgeProfile } from './purge-profile.js';

export function addPurgeIncr(program: Command): void {
	program
		.command('purge-incr <profile> [number]')
		.description(
			'list the increments of all but so many full backups (default: MAX_FULLS_WITH_INCRS of the conf); with --force delete them',
		)
		.option('--force', 'delete them')
		.action((profile: string, number: string | undefined, options: PurgeOptions, command: Command) =>
			purgeProfile(
				profile,
				(conf, now) => [ruleOf('purge-incr', number, conf, now)],
				options,
				outputOf(command),
			),
		);
}
