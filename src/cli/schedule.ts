/** `tsdup schedule`: a backup, or one of duply's batches, each night, by a systemd timer or cron. */
import { execFile } from 'node:child_process';
import { existsSync, realpathSync } from 'node:fs';
import { mkdir, writeFile } from 'node:fs/promises';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import type { Command } from 'commander';
import { cacheDirectory } from '../cache-directory.js';
import { TsdupError, UsageError } from '../errors.js';
import { findProfile, profileName } from '../profile/find.js';
import { cronLine } from '../unattended/cron.js';
import type { Job } from '../unattended/job.js';
import { journal, systemdUnits, unitName } from '../unattended/systemd.js';
import { isForced, readBatch } from './batch-commands.js';
import { type Output, outputOf } from './output.js';

/** Seconds. */
const DELAY = 3600;

interface Options {
	at: string;
	force?: boolean;
	onFailure?: string;
	install?: boolean;
	cron?: boolean;
	user?: boolean;
}

export function addSchedule(program: Command): void {
	program
		.command('schedule <profile> [commands]')
		.description(
			'print, or install, what backs up each night, or runs a batch as backup_verify_purge: a systemd timer, or a cron line',
		)
		.option('--force', 'let purge, purgeFull, purgeIncr, purgeAuto and cleanup in the batch delete')
		.option('--at <hh:mm>', 'not before this local time, and up to an hour later', '02:30')
		.option('--on-failure <command>', 'a shell command to run when it failed, such as one that sends mail')
		.option('--install', 'write the units where systemd looks for them, and start the timer')
		.option('--user', "for this user's systemd, also as root; others than root need not say so")
		.option('--cron', 'a cron line, also where there is systemd')
		.action(run);
}

async function run(
	profile: string,
	commands: string | undefined,
	options: Options,
	command: Command,
): Promise<void> {
	const output = outputOf(command);
	const job = describeJob(findProfile(profile), commands, options);
	if (!options.force && commands && readBatch(commands).words.some(isForced))
		output.note('Without --force the job only lists what could be deleted.');
	const running = existsSync('/run/systemd/system');
	if (options.cron || (!running && !options.install && !options.user)) {
		if (options.install)
			throw new UsageError(
				'Only systemd units are installed. Without --install the cron line is printed, for: crontab -e',
			);
		const log = join(await cacheDirectory('logs'), `${job.name}.log`);
		output.result(cronLine(job, log), { cron: cronLine(job, log), log });
		output.note(
			`To install it: crontab -e. What it says is in ${log}; cron mails warnings and errors to MAILTO.`,
		);
		return;
	}
	const units = systemdUnits(job);
	const folder = job.system
		? '/etc/systemd/system'
		: join(process.env.XDG_CONFIG_HOME || join(homedir(), '.config'), 'systemd/user');
	for (const [name, text] of units) {
		const path = join(folder, name);
		if (options.install) {
			await mkdir(folder, { recursive: true });
			await writeFile(path, text);
		}
		output.result(options.install ? `Wrote ${path}` : `# ${path}\n${text}`, { path, text });
	}
	if (options.install) await start(job, running, output);
	else output.note('Nothing was written: --install does that.');
}

function describeJob(dir: string, commands: string | undefined, options: Options): Job {
	const { at, onFailure, user } = options;
	const [, hour, minute] = /^(\d\d?):(\d\d)$/.exec(at) ?? [];
	if (hour === undefined || Number(hour) > 23 || Number(minute) > 59)
		throw new UsageError(`--at ${at} is no time of day: write it as 02:30`);
	const name = profileName(dir);
	const words = commands ? batchOf(dir, commands, options) : ['backup', dir];
	const command = [process.execPath, realpathSync(process.argv[1] as string), ...words];
	if ([...command, onFailure ?? ''].some((word) => word.includes('\n')))
		throw new UsageError('A newline in a path or in --on-failure cannot be scheduled: call a script instead');
	const { XDG_CACHE_HOME, GNUPGHOME } = process.env;
	return {
		name,
		title: `${commands ?? 'backup'} of ${name}`,
		command,
		// systemd gives a service of the machine no HOME.
		environment: {
			HOME: homedir(),
			...(XDG_CACHE_HOME ? { XDG_CACHE_HOME } : {}),
			...(GNUPGHOME ? { GNUPGHOME } : {}),
		},
		at: { hour: Number(hour), minute: Number(minute) },
		delay: DELAY,
		...(onFailure === undefined ? {} : { onFailure }),
		system: process.getuid?.() === 0 && !user,
	};
}

/** The words of `tsdup run`. @throws UsageError for what nobody could run each night */
function batchOf(dir: string, commands: string, { force }: Options): string[] {
	const needy = readBatch(commands).words.find((word) => ['restore', 'fetch'].includes(word));
	if (needy) throw new UsageError(`"${needy}" needs to be told where to: it cannot be scheduled.`);
	return ['run', dir, commands, ...(force ? ['--force'] : [])];
}

async function start(job: Job, running: boolean, output: Output): Promise<void> {
	const timer = `${unitName(job.name)}.timer`;
	const scope = job.system ? [] : ['--user'];
	const byHand = ['systemctl', ...scope, 'enable', '--now', `'${timer}'`].join(' ');
	if (!running) {
		output.warn(`systemd does not run here; when it does: ${byHand}`);
		return;
	}
	for (const words of [['daemon-reload'], ['enable', '--now', timer]]) {
		await promisify(execFile)('systemctl', [...scope, ...words]).catch(
			(cause: Error & { stderr?: string }) => {
				throw new TsdupError(
					`systemctl ${words.join(' ')}: ${cause.stderr?.trim() || cause.message}. The units are written; by hand: ${byHand}`,
					{ cause },
				);
			},
		);
	}
	if (!job.system) output.note('It runs while you are logged in; always, after: loginctl enable-linger');
	output.summary(`${timer} is started. What it says: ${journal(job)}`, { timer });
}
