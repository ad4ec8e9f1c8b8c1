/** `tsdup backup`: one backup run of a profile. */
import { join } from 'node:path';
import type { Command } from 'commander';
import { backup } from '../backup/backup.js';
import type { BackupReport } from '../backup/report.js';
import { openProfile } from '../collection/access.js';
import { formatSetTime, parseTime } from '../collection/times.js';
import { UsageError } from '../errors.js';
import { findProfile } from '../profile/find.js';
import { readRules } from '../profile/rules.js';
import { Selection } from '../profile/selection.js';
import { count, localTime, outputOf, size } from './output.js';

/** duplicity's default, bytes. */
const VOLUME_SIZE = 200 * 2 ** 20;

interface Options {
	full?: boolean;
	incremental?: boolean;
	dryRun?: boolean;
}

export function addBackup(program: Command): void {
	program
		.command('backup <profile>')
		.description('back up what changed since the last backup; the first time, and when one is due, all of it')
		.option('--full', 'back up all of it')
		.option('--incremental', 'only what changed; fails when there is nothing to build on')
		.option('--dry-run', 'only say what would be backed up')
		.action(run);
}

async function run(profile: string, options: Options, command: Command): Promise<void> {
	const output = outputOf(command);
	if (options.full && options.incremental) throw new UsageError('Choose one of --full and --incremental.');
	const access = await openProfile(findProfile(profile), { create: !options.dryRun });
	const { conf, parameters } = access;
	if (parameters.nonStandardNames !== null) {
		throw new UsageError(
			`${parameters.nonStandardNames} in DUPL_PARAMS asks for object names that tsdup reads but does not write: ` +
				'back up with duplicity, or take it out (without its prefix a collection is not seen).',
		);
	}
	output.introduce(access);
	if (!conf.source)
		throw new UsageError(`SOURCE is not set in ${conf.dir}/conf: set it to the folder to back up.`);
	if (!options.dryRun) for (const note of await access.importKeys()) output.note(note);
	const now = Date.now() / 1000;
	const rules = await readRules(parameters.selection, join(conf.dir, 'exclude'), (time) =>
		parseTime(time, now),
	);
	const started = Date.now();
	const report = await backup({
		source: conf.source,
		selection: new Selection(rules, conf.source),
		target: access.target,
		encryptor: await access.encryptor(),
		publicKeys: access.protection.kind === 'keys',
		opener: access.opener,
		cacheDir: access.cacheDir,
		mode: options.full ? 'full' : options.incremental ? 'incremental' : 'auto',
		fullIfBefore: parameters.fullIfOlderThan === null ? null : parseTime(parameters.fullIfOlderThan, now),
		volumeSize: parameters.volumeSize ?? VOLUME_SIZE,
		dryRun: options.dryRun ?? false,
		now,
		reporter: {
			note: (message) => output.note(message),
			warn: (message) => output.warn(message),
			progress: (state) =>
				output.progress(
					() =>
						`${state.entries} entries, ${size(state.bytesRead)} read, ${size(state.bytesStored)} stored  ${state.path}`,
				),
		},
	});
	if (!options.dryRun) for (const note of await access.exportKeys()) output.note(note);
	const seconds = (Date.now() - started) / 1000;
	output.summary(inWords(report, seconds, options.dryRun ?? false), {
		...report,
		set: {
			...report.set,
			time: formatSetTime(report.set.time),
			start: report.set.start && formatSetTime(report.set.start),
		},
		dryRun: options.dryRun ?? false,
		seconds,
	});
}

function inWords(report: BackupReport, seconds: number, dryRun: boolean): string {
	const kind = report.set.kind === 'full' ? 'Full' : 'Incremental';
	const counts = `${report.entries} entries: ${report.newEntries} new, ${report.changedEntries} changed, ${report.deletedEntries} deleted`;
	if (dryRun)
		return `${kind} backup, not made (--dry-run). ${counts}, up to ${size(report.bytesRead)} to read.`;
	const warnings = report.warnings > 0 ? ` ${report.warnings} could not be backed up, see above.` : '';
	return (
		`${kind} backup of ${localTime(report.set.time)} is complete, in ${seconds.toFixed(1)} s. ${counts}. ` +
		`${size(report.bytesRead)} read, ${size(report.bytesStored)} stored in ${count(report.volumes, 'volume')}.${warnings}`
	);
}
