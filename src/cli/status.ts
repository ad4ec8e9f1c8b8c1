/** `tsdup status`: what is on the target. */
import type { Command } from 'commander';
import { openProfile } from '../collection/access.js';
import type { BackupSet } from '../collection/backup-set.js';
import { formatSetTime } from '../collection/times.js';
import { findProfile } from '../profile/find.js';
import { whyIncomplete } from '../retention/left-overs.js';
import { openSnapshots } from '../snapshots/open.js';
import { count, localTime, missingWords, outputOf, size } from './output.js';

export function addStatus(program: Command): void {
	program
		.command('status <profile>')
		.description('chains and sets on the target: their ages and sizes, and what belongs to none')
		.action(async (profile: string, _options: unknown, command: Command) => {
			const output = outputOf(command);
			const access = await openProfile(findProfile(profile));
			output.introduce(access);
			const { collection, unusable, missing, close } = await openSnapshots(access, (message) =>
				output.note(message),
			);
			const reasons = new Map(unusable.map(({ set, reason }) => [set, reason]));
			let bytes = 0;
			collection.chains.forEach((chain, i) => {
				const total = chain.sets.reduce((sum, set) => sum + bytesOf(set), 0);
				bytes += total;
				const newest = chain === collection.newest ? ', the newest' : '';
				if (!output.json) {
					output.result(`Chain ${i + 1}${newest}: ${count(chain.sets.length, 'set')}, ${size(total)}`, {});
				}
				for (const set of chain.sets) {
					const reason = reasons.get(set);
					const unusableWords = reason ? `  cannot be shown: ${reason}` : '';
					output.result(
						`  ${localTime(set.time)}  ${set.kind === 'full' ? 'full       ' : 'incremental'}  ` +
							`${count(set.volumes.length, 'volume')}, ${size(bytesOf(set))}, ${age(set.time)} ago${unusableWords}`,
						{ chain: i + 1, ...described(set), ...(reason ? { unusable: reason } : {}) },
					);
				}
			});
			const incomplete = collection.incomplete.map((set) => ({ ...set, reason: whyIncomplete(set) }));
			for (const { reason: why, ...set } of [...incomplete, ...collection.orphaned]) {
				output.result(`Orphan ${localTime(set.time)}: ${why}`, { orphan: why, ...described(set) });
			}
			for (const name of collection.unsupported)
				output.result(`Encrypted by gpgsm, which tsdup does not open: ${name}`, { unsupported: name });
			if (missing.length > 0) output.warn(missingWords(missing));
			const sets = collection.chains.reduce((sum, chain) => sum + chain.sets.length, 0);
			const orphans = collection.incomplete.length + collection.orphaned.length;
			output.summary(
				`${access.target.url}: ${count(collection.chains.length, 'chain')}, ${count(sets, 'set')}, ${size(bytes)}, ` +
					`${count(orphans, 'orphan')}, ${count(collection.foreign, 'foreign object')}`,
				{
					target: access.target.url,
					chains: collection.chains.length,
					sets,
					bytes,
					orphans,
					foreign: collection.foreign,
				},
			);
			close();
		});
}

function described(set: BackupSet): object {
	return { kind: set.kind, time: formatSetTime(set.time), volumes: set.volumes.length, bytes: bytesOf(set) };
}

function bytesOf(set: BackupSet): number {
	const others = [set.manifest, set.sigtar, set.segment];
	return [...set.volumes, ...others].reduce((sum, object) => sum + (object?.size ?? 0), 0);
}

function age(time: number): string {
	const seconds = Math.max(0, Math.floor(Date.now() / 1000 - time));
	if (seconds < 120) return `${seconds} s`;
	if (seconds < 2 * 3600) return `${Math.floor(seconds / 60)} min`;
	if (seconds < 2 * 86400) return `${Math.floor(seconds / 3600)} h`;
	return `${Math.floor(seconds / 86400)} days`;
}
