/** What all purge commands do once they have their rules. */
import { openProfile } from '../collection/access.js';
import type { Conf } from '../profile/conf.js';
import { findProfile } from '../profile/find.js';
import { purge } from '../retention/retention.js';
import type { Rule } from '../retention/rules.js';
import type { Output } from './output.js';
import { noteKept, printRemovals } from './retention-report.js';

export interface PurgeOptions {
	readonly force?: boolean;
}

/** @param rulesOf the rules by the conf, at a time (s) */
export async function purgeProfile(
	profile: string,
	rulesOf: (conf: Conf, now: number) => Rule[],
	{ force = false }: PurgeOptions,
	output: Output,
): Promise<void> {
	const access = await openProfile(findProfile(profile));
	for (const warning of access.warnings) output.note(warning);
	const rules = rulesOf(access.conf, Math.floor(Date.now() / 1000));
	const report = await purge({ ...access, force }, rules);
	noteKept(report, output);
	printRemovals(report, force, output);
}
