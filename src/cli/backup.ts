/** `tsdup backup`: one backup run of a profile. */
import { join } from 'node:path';
import type { Command } from 'commander';
import { backup } from '../backup/backup.js';
import type { BackupReport } from '../backup/report.js';
import { openProfile } from '../collection/access.js';
import { formatSetTime, parseTime } from '../collection/times.js';
import { TsdupError, UsageError } from '../errors.js';
import { type Conf, readConf } from '../profile/conf.js';
import { findProfile } from '../profile/find.js';
import type { Protection } from '../profile/protection.js';
import { type Rule, readRules } from '../profile/rules.js';
import { type Position, runScript, type ScriptName } from '../profile/scripts.js';
import { Selection } from '../profile/selection.js';
import { Traffic } from '../target/traffic.js';
import { BackupProgress } from './backup-progress.js';
import { count, listenerFor, localTime, Output, outputOf, size } from './output.js';

/** A store may be down for so long, ms: nobody waits at night. */
const PATIENCE = 10 * 60_000;

/** duplicity's default, bytes. */
const VOLUME_SIZE = 200 * 2 ** 20;

/** Where a script stands when no batch is run. */
const ALONE: Position = { previous: 'START', next: 'END', before: '', after: '', exit: null };

interface Options {
	scripts: boolean;
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
		.option('--no-scripts', 'without the programs pre and post of the profile')
		.option('--dry-run', 'only say what would be backed up')
		.action(run);
}

async function run(profile: string, options: Options, command: Command): Promise<void> {
	const output = outputOf(command);
	if (options.full && options.incremental) throw new UsageError('Choose one of --full and --incremental.');
	const conf = await readConf(findProfile(profile));
	if (options.dryRun || !options.scripts) return backUp(conf, options, output);
	const failed: string[] = [];
	const script = async (name: ScriptName, position: Position) => {
		const code = (await runScript(conf, name, position, Output.log)) ?? 0;
		if (code !== 0) failed.push(`${name} (exit code ${code})`);
		return code;
	};
	await script('pre', { ...ALONE, next: 'bkp' });
	// As for duply, whether pre succeeds or not; and post runs whether the backup does.
	let exit = 0;
	try {
		await backUp(conf, options, output);
	} catch (error) {
		exit = error instanceof TsdupError ? error.exit : 1;
		throw error;
	} finally {
		await script('post', { ...ALONE, previous: 'bkp', exit });
	}
	if (failed.length > 0) {
		throw new TsdupError(
			`${failed.join(' and ')} of the profile ${conf.name} failed; the backup itself is complete.`,
		);
	}
}

async function backUp(conf: Conf, options: Options, output: Output): Promise<void> {
	const traffic = new Traffic();
	const progress = new BackupProgress(traffic);
	const access = await openProfile(conf.dir, { create: !options.dryRun, conf, patience: PATIENCE, traffic });
	const { parameters } = access;
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
		plan: planOf(conf.source, rules, access.protection),
		selectsByAge: rules.some(({ kind }) => kind === 'older-than'),
		now,
		reporter: {
			...listenerFor(output),
			warn: (message) => output.warn(message),
			progress: (state) => output.progress(() => progress.line(state)),
			would: (effect, path) => {
				if (!output.json && !output.verbose) return;
				const lossless = Buffer.from(path.toString()).equals(path);
				output.result(Buffer.concat([Buffer.from(`${effect} `), path.length > 0 ? path : Buffer.from('.')]), {
					path: path.toString() || '.',
					...(lossless ? {} : { pathBase64: path.toString('base64') }),
					change: effect,
				});
			},
		},
	});
	if (!options.dryRun) for (const note of await access.exportKeys()) output.note(note);
	const seconds = (Date.now() - started) / 1000;
	output.summary(inWords(report, seconds, options.dryRun ?? false, traffic), {
		...report,
		set: {
			...report.set,
			time: formatSetTime(report.set.time),
			start: report.set.start && formatSetTime(report.set.start),
		},
		dryRun: options.dryRun ?? false,
		seconds,
		requests: traffic.requests,
		retries: traffic.retries,
		bytesUploaded: traffic.uploaded,
		bytesDownloaded: traffic.downloaded,
	});
}

/** What must not have changed for an interrupted run to be gone on with, or a folder to be passed over. The passphrase is checked by itself. */
function planOf(source: Buffer, rules: readonly Rule[], protection: Protection): string {
	const recipients = protection.kind === 'keys' ? protection.recipients : [];
	// A relative age is another time at each run, and the same to whoever wrote it.
	const words = rules.map((rule) => (rule.kind === 'older-than' ? rule.kind : rule));
	return JSON.stringify([source.toString('base64'), words, protection.kind, recipients]);
}

function inWords(report: BackupReport, seconds: number, dryRun: boolean, traffic: Traffic): string {
	const retries = traffic.retries > 0 ? ` ${traffic.retries} failed requests were made again.` : '';
	const kind = report.set.kind === 'full' ? 'Full' : 'Incremental';
	const counts = `${report.entries} entries: ${report.newEntries} new, ${report.changedEntries} changed, ${report.deletedEntries} deleted`;
	if (dryRun)
		return `${kind} backup, not made (--dry-run). ${counts}, up to ${size(report.bytesRead)} to read.`;
	const warnings = report.warnings > 0 ? ` ${report.warnings} could not be backed up, see above.` : '';
	return (
		`${kind} backup of ${localTime(report.set.time)} is complete, in ${seconds.toFixed(1)} s. ${counts}. ` +
		`${size(report.bytesRead)} read, ${size(report.bytesStored)} stored in ${count(report.volumes, 'volume')}.${retries}${warnings}`
	);
}
