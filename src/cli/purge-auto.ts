/** `tsdup purge-auto`: `purge`, `purge-full` and `purge-incr`, those whose variable the conf sets. */
import type { Command } from 'commander';
import { autoRules } from '../retention/conf.js';
import { outputOf } from './output.js';
import { type PurgeOptions, purgeProfile } from './purge-profile.js';

export function addPurgeAuto(program: Command): void {
	program
		.command('purge-auto <profile>')
		.description('purge, purge-full and purge-incr: those whose variable the conf sets')
		.option('--force', 'delete what they list')
		.action((profile: string, options: PurgeOptions, command: Command) =>
			purgeProfile(profile, autoRules, options, outputOf(command)),
		);
}
