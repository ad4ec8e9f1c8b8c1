/** `tsdup status`: what is on the target; with `--mounts` what is mounted. */
import type { Command } from 'commander';
import { openProfile } from '../collection/access.js';
import type { BackupSet } from '../collection/backup-set.js';
import { formatSetTime } from '../collection/times.js';
import { UsageError } from '../errors.js';
import { findHolder } from '../mount/holder.js';
import { listMounts } from '../mount/table.js';
import { findProfile } from '../profile/find.js';
import { whyIncomplete } from '../retention/left-overs.js';
import { type Figures, figuresOf, nextFullDue, objectsOf } from '../snapshots/figures.js';
import { openSnapshots } from '../snapshots/open.js';
import { count, listenerFor, localTime, missingWords, type Output, outputOf, size } from './output.js';

/** Names of an orphan's objects that are shown. */
const NAMES_SHOWN = 5;

export function addStatus(program: Command): void {
	program
		.command('status [profile]')
		.description('backups on the target: their ages and sizes, what was verified, what belongs to none')
		.option('--mounts', 'what is mounted, instead')
		.action(async (profile: string | undefined, options: { mounts?: boolean }, command: Command) => {
			const output = outputOf(command);
			if (options.mounts && profile === undefined) await showMounts(output);
			else if (profile !== undefined && !options.mounts) await showCollection(profile, output);
			else throw new UsageError('Give either a profile or --mounts.');
		});
}

async function showMounts(output: Output): Promise<void> {
	const mounts = await listMounts();
	for (const { mountpoint, source } of mounts) {
		const pid = (await findHolder(mountpoint))?.pid ?? null;
		const holder = pid === null ? 'no process of tsdup holds it' : `process ${pid}`;
		output.result(`${mountpoint}: ${source}, ${holder}`, { mountpoint, source, pid });
	}
	output.summary(count(mounts.length, 'mount'), { mounts: mounts.length });
}

async function showCollection(profile: string, output: Output): Promise<void> {
	const access = await openProfile(findProfile(profile));
	for (const warning of access.warnings) output.note(warning);
	const open = await openSnapshots(access, listenerFor(output));
	const { collection, unusable, missing, index, close } = open;
	const reasons = new Map(unusable.map(({ set, reason }) => [set, reason]));
	const now = Math.floor(Date.now() / 1000);
	collection.chains.forEach((chain, i) => {
		const figures = figuresOf(index, chain.sets);
		const newest = chain === collection.newest ? ', the newest' : '';
		if (!output.json) {
			output.result(
				`Chain ${i + 1}${newest}: ${count(chain.sets.length, 'set')}, ${cost(figures)}, ${verifiedWords(figures)}`,
				{},
			);
		}
		for (const set of chain.sets) {
			const reason = reasons.get(set);
			const figures = figuresOf(index, [set]);
			output.result(
				`  ${localTime(set.time)}  ${set.kind === 'full' ? 'full       ' : 'incremental'}  ` +
					`${count(set.volumes.length, 'volume')}, ${size(figures.bytes)}, ${age(set.time)} ago, ` +
					`${verifiedWords(figures)}${reason ? `; cannot be shown: ${reason}` : ''}`,
				{ chain: i + 1, ...described(set, figures, now), ...(reason ? { unusable: reason } : {}) },
			);
		}
	});
	const { newest } = collection;
	const due = newest && nextFullDue(access.parameters.fullIfOlderThan, newest.start, now);
	if (newest && !output.json) output.result(dueWords(due, now), {});
	const incomplete = collection.incomplete.map((set) => ({ ...set, reason: whyIncomplete(set) }));
	const orphans = [...incomplete, ...collection.orphaned];
	for (const { reason: why, ...set } of orphans) {
		const names = objectsOf(set).map(({ name }) => name);
		const shown = names.slice(0, NAMES_SHOWN).map((name) => `\n  ${name}`);
		const more = names.length > NAMES_SHOWN ? `\n  and ${names.length - NAMES_SHOWN} more` : '';
		output.result(`Orphan ${localTime(set.time)}: ${why}${shown.join('')}${more}`, {
			orphan: why,
			...described(set, figuresOf(index, [set]), now),
			names,
		});
	}
	for (const name of collection.duplicates)
		output.result(`A second object of the same part of a set, not used: ${name}`, { duplicate: name });
	for (const name of collection.unsupported)
		output.result(`Encrypted by gpgsm, which tsdup does not open: ${name}`, { unsupported: name });
	if (missing.length > 0) output.warn(missingWords(missing));
	const sets = collection.chains.flatMap((chain) => chain.sets);
	const figures = figuresOf(index, sets);
	const left = figuresOf(index, orphans);
	const removal = orphans.length > 0 ? ` (${cost(left)}; to remove them: tsdup cleanup ${profile})` : '';
	output.summary(
		`${access.target.url}: ${count(collection.chains.length, 'chain')}, ${count(sets.length, 'set')}, ${cost(figures)}, ` +
			`${count(orphans.length, 'orphan')}${removal}, ${count(collection.foreign, 'foreign object')}`,
		{
			target: access.target.url,
			chains: collection.chains.length,
			sets: sets.length,
			objects: figures.objects,
			bytes: figures.bytes,
			verified: { bytes: figures.verified, oldest: isoOrNull(figures.oldest) },
			nextFull: isoOrNull(due),
			orphans: orphans.length,
			orphanBytes: left.bytes,
			missing,
			foreign: collection.foreign,
		},
	);
	close();
}

function described(set: BackupSet, figures: Figures, now: number): object {
	return {
		kind: set.kind,
		time: formatSetTime(set.time),
		age: Math.max(0, now - set.time),
		volumes: set.volumes.length,
		objects: figures.objects,
		bytes: figures.bytes,
		verified: isoOrNull(figures.oldest),
	};
}

function isoOrNull(time: number | null): string | null {
	return time === null ? null : formatSetTime(time);
}

function cost({ objects, bytes }: Figures): string {
	return `${size(bytes)} in ${count(objects, 'object')}`;
}

function verifiedWords({ bytes, verified, oldest }: Figures): string {
	if (oldest !== null) return `verified ${age(oldest)} ago`;
	return verified === 0 ? 'not verified yet' : `verified ${Math.floor((verified / bytes) * 100)} %`;
}

function dueWords(due: number | null, now: number): string {
	if (due === null) return 'Next full backup: never by itself (no MAX_FULLBKP_AGE)';
	if (due <= now) return 'Next full backup: the next backup is one';
	return `Next full backup: the first one after ${localTime(due)}, in ${duration(due - now)}`;
}

function age(time: number): string {
	return duration(Math.max(0, Math.floor(Date.now() / 1000 - time)));
}

function duration(seconds: number): string {
	if (seconds < 120) return `${seconds} s`;
	if (seconds < 2 * 3600) return `${Math.floor(seconds / 60)} min`;
	if (seconds < 2 * 86400) return `${Math.floor(seconds / 3600)} h`;
	return `${Math.floor(seconds / 86400)} days`;
}
