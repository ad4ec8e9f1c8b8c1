/** Checks of what is on the target: the last backup and its age, sets that cannot be used, what belongs to none. */
import type { ProfileAccess } from '../collection/access.js';
import { formatSetTime } from '../collection/times.js';
import { openSnapshots } from '../snapshots/open.js';
import { type Finding, failed, failedBy, ok, warning } from './finding.js';

/** @param oldest seconds since 1970: the last backup should not be older */
export async function checkBackups(access: ProfileAccess, oldest: number): Promise<Finding[]> {
	const { name } = access.conf;
	const findings: Finding[] = [];
	try {
		const notes: string[] = [];
		const { collection, unusable, missing, close } = await openSnapshots(access, {
			note: (note) => notes.push(note),
			taken: () => {},
		});
		close();
		const newest = collection.newest?.sets.at(-1);
		findings.push(
			newest === undefined
				? warning('backup', 'There is no backup yet', `tsdup backup ${name}`)
				: checkAge(newest.time, oldest, name),
		);
		for (const { set, reason } of unusable)
			findings.push(
				failed(
					'sets',
					`The backup of ${formatSetTime(set.time)} cannot be used: ${reason}`,
					`bring its objects back from a copy of the target, or make a new full backup: tsdup backup ${name} --full`,
				),
			);
		if (missing.length > 0)
			findings.push(
				failed(
					'sets',
					`${missing.length} objects are missing from the target, as ${missing[0]}`,
					`bring them back from a copy of the target, or make a new full backup: tsdup backup ${name} --full`,
				),
			);
		for (const note of notes)
			findings.push(warning('sets', note, 'nothing is lost; a new full backup does not need it'));
		const orphans = collection.incomplete.length + collection.orphaned.length + collection.duplicates.length;
		findings.push(
			orphans > 0
				? warning(
						'orphans',
						`${orphans} sets or objects belong to no backup (tsdup status ${name})`,
						`if no other machine is just writing them: tsdup cleanup ${name} --force; those of an interrupted run of this machine go with the next backup`,
					)
				: ok('orphans', 'Nothing lies there that belongs to no backup'),
		);
	} catch (error) {
		findings.push(failedBy('backup', error, 'do what the sentence says'));
	}
	return findings;
}

function checkAge(time: number, oldest: number, name: string): Finding {
	const days = (Date.now() / 1000 - time) / 86_400;
	if (days < -0.01)
		return warning(
			'backup',
			`The last backup is of ${formatSetTime(time)}, which is in the future`,
			'set the clock; duplicity does not see that backup before',
		);
	const found = `The last backup is of ${formatSetTime(time)}, ${days < 2 ? `${(days * 24).toFixed(1)} hours` : `${Math.floor(days)} days`} ago`;
	return time < oldest
		? warning(
				'backup',
				found,
				`see what the last run said, then: tsdup backup ${name}; for each night: tsdup schedule ${name}`,
			)
		: ok('backup', found);
}
