/** `tsdup purge`: deletes chains that ended long ago. */
import type { Command } from 'commander';
import { ruleOf } from '../retention/conf.js';
import { outputOf } from './output.js';
import { type PurgeOptions, purgeProfile } from './purge-profile.js';

export function addPurge(program: Command): void {
	program
		.command('purge <profile> [age]')
		.description(
			'list the chains whose last backup is older than an age (default: MAX_AGE of the conf); with --force delete them',
		)
		.option('--force', 'delete them')
		.action((profile: string, age: string | undefined, options: PurgeOptions, command: Command) =>
			purgeProfile(profile, (conf, now) => [ruleOf('purge', age, conf, now)], options, outputOf(command)),
		);
}
