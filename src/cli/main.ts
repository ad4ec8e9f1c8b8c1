/**
 * The command line: one file per command, each adding itself to the program. Errors end here: their sentence goes to
 * stderr and their number becomes the exit code.
 */
import { readFileSync } from 'node:fs';
import { setFlagsFromString } from 'node:v8';
import { Command, CommanderError } from 'commander';
import { TsdupError, WARNED } from '../errors.js';
import { CACHE_FULL, isFull } from '../index/sqlite.js';
import { limitTraffic, parseRate, type TrafficLimits } from '../target/traffic.js';
import { exitCodesHelp } from './exit-codes.js';
import { openLogFile } from './log-file.js';
import { Output } from './output.js';

/** Where each command adds itself to the program. Only the one that is wanted is loaded: that takes a third of the time. */
const COMMANDS: Readonly<Record<string, () => Promise<(program: Command) => void>>> = {
	create: async () => (await import('./create.js')).addCreate,
	backup: async () => (await import('./backup.js')).addBackup,
	mount: async () => (await import('./mount.js')).addMount,
	umount: async () => (await import('./umount.js')).addUmount,
	status: async () => (await import('./status.js')).addStatus,
	list: async () => (await import('./list.js')).addList,
	verify: async () => (await import('./verify.js')).addVerify,
	restore: async () => (await import('./restore.js')).addRestore,
	fetch: async () => (await import('./fetch.js')).addFetch,
	purge: async () => (await import('./purge.js')).addPurge,
	'purge-full': async () => (await import('./purge-full.js')).addPurgeFull,
	'purge-incr': async () => (await import('./purge-incr.js')).addPurgeIncr,
	'purge-auto': async () => (await import('./purge-auto.js')).addPurgeAuto,
	cleanup: async () => (await import('./cleanup.js')).addCleanup,
	index: async () => (await import('./index-command.js')).addIndex,
	schedule: async () => (await import('./schedule.js')).addSchedule,
	doctor: async () => (await import('./doctor.js')).addDoctor,
	run: async () => (await import('./run.js')).addRun,
	completion: async () => (await import('./completion.js')).addCompletion,
};

/**
 * V8 looks through its heap whenever it has grown by some part, and counts the buffers outside of it, too. Of those we go through
 * many megabytes a second, beside a small heap: it would do so ten times a second, which took a sixth of the time of a backup.
 */
setFlagsFromString('--heap-growing-percent=300');

/** The program with the commands that `argv` may mean: with none, all of them. Runs nothing. */
export async function createProgram(argv: readonly string[] = []): Promise<Command> {
	const program = new Command('tsdup')
		.description("Encrypted incremental backups in duplicity's format, mounted as plain folders.")
		.version(version())
		.option('--json', 'one JSON object per line, the last one the summary')
		.option('-q, --quiet', 'only results, warnings and errors')
		.option('-v, --verbose', 'say more, and where an error came from')
		.option('--log <file>', 'also write what is said into this file, with times')
		.hook('preAction', (_, command) => {
			const { log } = command.optsWithGlobals<{ log?: string }>();
			if (log !== undefined) Output.log = openLogFile(log);
		})
		.option('--limit-upload <rate>', 'bytes per second to S3, as 500k or 2M')
		.option('--limit-download <rate>', 'the same from there')
		.hook('preAction', (_, command) => limitTraffic(limitsOf(command.optsWithGlobals())))
		.addHelpText('after', exitCodesHelp())
		.showSuggestionAfterError()
		.exitOverride();
	for (const load of wanted(argv)) (await load())(program);
	for (const command of program.commands) command.copyInheritedSettings(program);
	return program;
}

/** Runs the command that `argv` (as process.argv) names. @returns the exit code */
export async function main(argv: readonly string[]): Promise<number> {
	const program = await createProgram(argv);
	// Whoever reads our output may have seen enough, as `head` has.
	process.stdout.on('error', (error: NodeJS.ErrnoException) => {
		if (error.code === 'EPIPE') process.exit(0);
		throw error;
	});
	try {
		await program.parseAsync(argv);
		return Number(process.exitCode ?? (Output.warned ? WARNED : 0));
	} catch (thrown) {
		const error = isFull(thrown) ? new TsdupError(`${CACHE_FULL}, and run again`, { cause: thrown }) : thrown;
		if (error instanceof CommanderError) {
			const [profile, commands] = argv.slice(2).filter((argument) => !argument.startsWith('-'));
			if (error.code === 'commander.unknownCommand' && commands !== undefined)
				process.stderr.write(
					`duply names the profile first, tsdup the command: tsdup run ${profile} ${commands}\n`,
				);
			return error.exitCode === 0 ? 0 : 2;
		}
		const message = error instanceof Error ? error.message : String(error);
		// In the place of a line of progress.
		process.stderr.write(`${process.stderr.isTTY ? '\r\x1b[K' : ''}tsdup: ${message}\n`);
		Output.log?.(`error: ${message}`);
		const { code, exit } = error instanceof TsdupError ? error : new TsdupError(message);
		if (program.opts<{ json?: boolean }>().json)
			process.stdout.write(`${JSON.stringify({ error: { code, exit, message } })}\n`);
		if (argv.includes('-v') || argv.includes('--verbose') || !(error instanceof TsdupError)) {
			for (let cause = error; cause instanceof Error; cause = cause.cause)
				process.stderr.write(`${cause.stack}\n`);
		}
		return exit;
	}
}

function limitsOf({ limitUpload, limitDownload }: Record<string, string | undefined>): TrafficLimits {
	return {
		...(limitUpload ? { upload: parseRate(limitUpload) } : {}),
		...(limitDownload ? { download: parseRate(limitDownload) } : {}),
	};
}

/** What the first word that is no option names; all of them for help, `completion`, and a word that names none. */
function wanted(argv: readonly string[]): (() => Promise<(program: Command) => void>)[] {
	const word = argv.slice(2).find((argument) => !argument.startsWith('-')) ?? '';
	const named = Object.hasOwn(COMMANDS, word) && word !== 'completion' ? COMMANDS[word] : undefined;
	return named ? [named] : Object.values(COMMANDS);
}

function version(): string {
	const file = new URL('../../../package.json', import.meta.url);
	return (JSON.parse(readFileSync(file, 'utf8')) as { version: string }).version;
}
