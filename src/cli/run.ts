/** `tsdup run`: duply's batches. Each command of one is a run of tsdup of its own; scripts run between them. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import type { Command } from 'commander';
import { UsageError } from '../errors.js';
import { isDone, runBatch } from '../profile/batch.js';
import { readConf } from '../profile/conf.js';
import { findProfile } from '../profile/find.js';
import { runScript } from '../profile/scripts.js';
import { COMMANDS, isForced, readBatch } from './batch-commands.js';
import { Output, outputOf } from './output.js';

interface Options {
	log?: string;
	limitUpload?: string;
	limitDownload?: string;
	force?: boolean;
	compareData?: boolean;
	json?: boolean;
	quiet?: boolean;
	verbose?: boolean;
}

export function addRun(program: Command): void {
	program
		.command('run <profile> <commands> [arguments...]')
		.description("run duply's commands in turn, joined as in backup_verify_purge or pre+[bkp-verify]_post")
		.option('--force', 'let purge, purgeFull, purgeIncr, purgeAuto and cleanup delete')
		.option('--compare-data', 'let verify compare with the source')
		.action(run);
}

async function run(
	profile: string,
	commands: string,
	given: readonly string[],
	_options: Options,
	command: Command,
): Promise<void> {
	const output = outputOf(command);
	const options = command.optsWithGlobals<Options>();
	const { steps, words } = readBatch(commands);
	if (given.length > 0 && words.length > 1) {
		throw new UsageError(`Arguments (${given.join(' ')}) go with one command only, not with a batch.`);
	}
	const dir = findProfile(profile);
	const done: { command: string; exit: number }[] = [];
	const codes = await runBatch(steps, async (name, position) => {
		const word = name.toLowerCase();
		const line = COMMANDS[word];
		let exit: number;
		if (!line) {
			exit = (await runScript(await readConf(dir), word as 'pre' | 'post', position, Output.log)) ?? 0;
		} else {
			exit = await runTsdup([...globals(options), ...line, ...flags(word, options), dir, ...given]);
		}
		if (!isDone(exit)) complain(output, word, exit);
		done.push({ command: word, exit });
		return exit;
	});
	const failed = codes.find((code) => !isDone(code));
	output.summary('', { commands: done });
	process.exitCode = failed ?? (codes.includes(3) ? 3 : 0);
}

function globals(options: Options): string[] {
	return [
		...(options.json ? ['--json'] : []),
		...(options.quiet ? ['-q'] : []),
		...(options.verbose ? ['-v'] : []),
		...(options.log === undefined ? [] : ['--log', options.log]),
		...(options.limitUpload === undefined ? [] : ['--limit-upload', options.limitUpload]),
		...(options.limitDownload === undefined ? [] : ['--limit-download', options.limitDownload]),
	];
}

function flags(word: string, options: Options): string[] {
	if (word === 'verify' && options.compareData) return ['--compare-data'];
	return isForced(word) && options.force ? ['--force'] : [];
}

async function runTsdup(args: readonly string[]): Promise<number> {
	const main = process.argv[1] as string;
	const child: ChildProcess = spawn(process.execPath, [main, ...args], {
		stdio: ['ignore', 'inherit', 'inherit'],
	});
	const end = () => child.kill('SIGTERM');
	process.once('SIGTERM', end);
	const [code, signal] = (await once(child, 'close')) as [number | null, NodeJS.Signals | null];
	process.off('SIGTERM', end);
	return code ?? (signal === 'SIGKILL' ? 137 : 143);
}

function complain(output: Output, word: string, exit: number): void {
	output.error(`${word} failed with exit code ${exit}`);
}
