/** `tsdup completion`: what a shell needs to complete tsdup's commands, options and profiles. */
import { Argument, type Command } from 'commander';
import { bashCompletion } from '../manual/bash.js';
import { commandModel } from '../manual/commands.js';
import { fishCompletion } from '../manual/fish.js';
import { zshCompletion } from '../manual/zsh.js';

const shells = { bash: bashCompletion, zsh: zshCompletion, fish: fishCompletion };

export function addCompletion(program: Command): void {
	program
		.command('completion')
		.addArgument(new Argument('<shell>', 'whose words').choices(Object.keys(shells)))
		.description('print what a shell needs to complete commands, options and profiles')
		.action((shell: keyof typeof shells) => {
			process.stdout.write(shells[shell](commandModel(program)));
		});
}
