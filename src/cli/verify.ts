/** `tsdup verify`: whether what is on the target is what was written there, and, if asked to, what the source is now. */
import { join } from 'node:path';
import type { Command } from 'commander';
import { openProfile } from '../collection/access.js';
import { formatSetTime, parseTime } from '../collection/times.js';
import { UsageError } from '../errors.js';
import { findProfile } from '../profile/find.js';
import { readRules } from '../profile/rules.js';
import { Selection } from '../profile/selection.js';
import { openSnapshots } from '../snapshots/open.js';
import type { VerifyReport } from '../verify/report.js';
import { verify } from '../verify/verify.js';
import {
	count,
	listenerFor,
	localTime,
	type Output,
	outputOf,
	pathFields,
	printable,
	size,
} from './output.js';

interface VerifyChoice {
	/** As the user wrote it; absent: the newest snapshot. */
	time?: string | undefined;
	compareData?: boolean | undefined;
	/** Percent. */
	sample?: string | undefined;
}

export function addVerify(program: Command): void {
	program
		.command('verify <profile> [time]')
		.description('read what a snapshot needs, by default the newest, and check all of it')
		.option('--compare-data', 'also compare the snapshot with the source, contents included')
		.option(
			'--sample <percent>',
			'only so much of it (without a time: of all backups), what was not verified for longest',
		)
		.action(
			async (
				profile: string,
				time: string | undefined,
				options: Omit<VerifyChoice, 'time'>,
				command: Command,
			) => {
				const exit = await verifyProfile(findProfile(profile), { ...options, time }, outputOf(command));
				if (exit > 0) process.exitCode = exit;
			},
		);
}

/**
 * Verifies and reports.
 * @param dir of the profile
 * @returns the exit code
 * @throws TsdupError when it cannot be begun, or the target is gone
 */
async function verifyProfile(dir: string, choice: VerifyChoice, output: Output): Promise<number> {
	const { compareData = false } = choice;
	const sample = choice.sample === undefined ? null : percentOf(choice.sample);
	if (compareData && sample !== null && choice.time === undefined) {
		throw new UsageError('--compare-data needs a time with --sample, which else takes from all snapshots.');
	}
	const access = await openProfile(dir);
	for (const warning of access.warnings) output.note(warning);
	const { conf, parameters, target, opener } = access;
	const now = Math.floor(Date.now() / 1000);
	const until = choice.time === undefined || choice.time === 'now' ? null : parseTime(choice.time, now);
	if (compareData && !conf.source) {
		throw new UsageError(`SOURCE is not set in ${conf.dir}/conf: there is nothing to compare with.`);
	}
	const rules = compareData
		? await readRules(parameters.selection, join(conf.dir, 'exclude'), (time) => parseTime(time, now))
		: [];
	const source =
		compareData && conf.source ? { root: conf.source, selection: new Selection(rules, conf.source) } : null;
	const signer = await access.signer();
	const isKnown = signer !== null && signer.fingerprints.length > 0;
	if (signer && !isKnown) {
		output.warn(
			`signatures are not checked: GnuPG does not have the key ${signer.id}; import it with gpg --import`,
		);
	}
	const collection = await openSnapshots(access, listenerFor(output));
	try {
		for (const { set, reason } of collection.unusable) {
			output.warn(`the snapshot of ${localTime(set.time)} cannot be used: ${reason}`);
		}
		const report = await verify({
			...{ collection, target, opener, until, sample, source, now },
			signer: isKnown ? signer : null,
			reporter: {
				object: ({ object, part, time, state, reason }) =>
					output.result(`${capital(state)}: ${object}: ${withoutName(reason, object)}`, {
						...{ object, part, set: formatSetTime(time), state, reason },
					}),
				lost: (path, reason) =>
					output.result(`Cannot be read: ${printable(path.toString())}: ${reason}`, {
						...pathFields(path),
						lost: reason,
					}),
				difference: (path, what) =>
					output.result(`Differs: ${printable(path.toString() || '.')}: ${what.join(', ')}`, {
						...pathFields(path),
						differs: what,
					}),
				warn: (message) => output.warn(message),
				progress: (words) => output.progress(words),
			},
		});
		output.summary(inWords(report, sample, isKnown ? signer.id : null), {
			...report,
			time: report.time === null ? null : formatSetTime(report.time),
			findings: report.findings.length,
		});
		return report.exit || (collection.unusable.length > 0 || (signer && !isKnown) ? 3 : 0);
	} finally {
		collection.close();
	}
}

function percentOf(text: string): number {
	const percent = Number(/^(\d+(?:\.\d+)?)%?$/.exec(text)?.[1] ?? Number.NaN);
	if (percent > 0 && percent <= 100) return percent;
	throw new UsageError(`--sample takes a percentage between 0 and 100, as 5%, not ${text}.`);
}

function inWords(report: VerifyReport, sample: number | null, signer: string | null): string {
	const { findings, lost, compared, differences, coverage } = report;
	const ofWhat = report.time === null ? '' : `, of ${localTime(report.time)}`;
	const verified = `Verified ${count(report.objects, 'object')}, ${size(report.bytes)}${ofWhat}`;
	const good = signer === null ? 'all good' : `all good, signed by ${signer}`;
	const bad = findings.length > 0 ? `${count(findings.length, 'object')} not good` : good;
	const files = lost > 0 ? `, ${count(lost, 'file')} cannot be read` : '';
	const comparison =
		compared === null
			? ''
			: ` ${count(compared, 'path')} compared, ${count(differences, 'difference')} found.`;
	const turns =
		sample === null
			? ''
			: ` Of the collection's ${size(coverage.bytes)}, ${size(coverage.verified)} were verified` +
				`${coverage.oldest === null ? ' so far' : ` since ${localTime(coverage.oldest)}`}.`;
	return `${verified}: ${bad}${files}.${comparison}${turns}`;
}

/** Messages of the layers below often begin with the object's name. */
function withoutName(reason: string, object: string): string {
	for (const start of [`${object}: `, `${object} `]) {
		if (reason.startsWith(start)) return reason.slice(start.length);
	}
	return reason;
}

function capital(word: string): string {
	return word.charAt(0).toUpperCase() + word.slice(1);
}
