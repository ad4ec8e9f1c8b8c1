/** What the commands that delete backups print: each set, and the sum. */
import type { BackupSet } from '../collection/backup-set.js';
import { formatSetTime } from '../collection/times.js';
import type { Removal } from '../retention/remove.js';
import type { PurgeReport, RetentionReport } from '../retention/retention.js';
import { count, localTime, type Output, size } from './output.js';

/** @param force whether the sets are gone; else they would be */
export function printRemovals(
	{ removals, unfinished }: RetentionReport,
	force: boolean,
	output: Output,
): void {
	for (const removal of removals) {
		const { kind, time } = removal.set;
		const reason = removal.reason ? `: ${removal.reason}` : '';
		output.result(
			`${localTime(time)}  ${kind === 'full' ? 'full       ' : 'incremental'}  ` +
				`${count(removal.objects.length, 'object')}, ${size(bytesOf(removal))}${reason}`,
			described(removal),
		);
	}
	for (const name of unfinished) output.result(`Begun and not ended: ${name}`, { unfinished: name });
	const objects = removals.reduce((sum, removal) => sum + removal.objects.length, 0);
	const bytes = removals.reduce((sum, removal) => sum + bytesOf(removal), 0);
	const uploads = unfinished.length > 0 ? `, and ${count(unfinished.length, 'unfinished object')}` : '';
	const what = `${count(removals.length, 'set')} with ${count(objects, 'object')}, ${size(bytes)}${uploads}`;
	const nothing = removals.length === 0 && unfinished.length === 0;
	output.summary(
		nothing
			? 'There is nothing to delete.'
			: force
				? `Deleted ${what}.`
				: `${what}: not deleted yet, --force does it.`,
		{ deleted: force, sets: removals.length, objects, bytes, unfinished: unfinished.length },
	);
}

/** What stays although it is outdated. */
export function noteKept({ needed, spared }: PurgeReport, output: Output): void {
	if (spared) {
		output.note(
			`The newest chain, ${localTime(spared.start)} to ${localTime(spared.end)}, stays: the newest backup is never deleted.`,
		);
	}
	const others = needed.filter((set) => !spared?.sets.includes(set));
	const [first] = others;
	if (!first) return;
	output.note(
		`${count(others.length, 'set')} from ${localTime(first.time)} on would be outdated, but newer ones build on them: they go together.`,
	);
}

/** Times of sets, for a sentence. */
export function dates(sets: readonly BackupSet[]): string {
	return sets.map(({ time }) => localTime(time)).join(', ');
}

function described({ set, objects, reason, ...rest }: Removal): object {
	const { kind, start, time } = set;
	return {
		kind,
		time: formatSetTime(time),
		start: start && formatSetTime(start),
		objects: objects.length,
		bytes: bytesOf({ set, objects, reason, ...rest }),
		...(reason ? { reason } : {}),
	};
}

function bytesOf({ objects }: Removal): number {
	return objects.reduce((sum, object) => sum + object.size, 0);
}
