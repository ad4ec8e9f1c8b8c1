/** `tsdup create`: a new profile. */
import type { Command } from 'commander';
import { newProfileDir } from '../profile/find.js';
import { createProfile } from '../profile/template.js';
import { outputOf } from './output.js';

export function addCreate(program: Command): void {
	program
		.command('create <profile>')
		.description('make a new profile: a folder with a commented conf and an exclude list')
		.action(async (profile: string, _options: unknown, command: Command) => {
			const dir = newProfileDir(profile);
			await createProfile(dir);
			outputOf(command).summary(
				`Made ${dir}. Now edit ${dir}/conf (what to back up, where to, how to encrypt), then: tsdup backup ${profile}`,
				{ profile: dir },
			);
		});
}
