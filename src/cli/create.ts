/** `tsdup create`: a new profile. At a terminal it asks the few things that must be known; else the conf is to be edited. */
import type { Command } from 'commander';
import { newProfileDir } from '../profile/find.js';
import { createProfile } from '../profile/template.js';
import { askAnswers } from './guide.js';
import { outputOf } from './output.js';

export function addCreate(program: Command): void {
	program
		.command('create <profile>')
		.description('make a new profile: a folder with a commented conf and an exclude list')
		.option('--no-questions', 'ask nothing, also at a terminal')
		.action(async (profile: string, { questions }: { questions: boolean }, command: Command) => {
			const output = outputOf(command);
			const dir = newProfileDir(profile);
			const guided = questions && !output.json && process.stdin.isTTY && process.stderr.isTTY;
			const answers = guided ? await askAnswers() : undefined;
			await createProfile(dir, answers);
			const next = answers
				? `Keep a copy of the passphrase elsewhere: without it the backups cannot be read. Then: tsdup backup ${profile}`
				: `Now edit ${dir}/conf (what to back up, where to, how to encrypt), then: tsdup backup ${profile}`;
			output.summary(`Made ${dir}. ${next}`, { profile: dir });
		});
}
