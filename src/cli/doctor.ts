/** `tsdup doctor`: what a bad day would show, and how to mend it before. */
import type { Command } from 'commander';
import { openProfile } from '../collection/access.js';
import { parseTime } from '../collection/times.js';
import { takeLock } from '../index/lock.js';
import { findProfile } from '../profile/find.js';
import { diagnose } from '../unattended/doctor.js';
import { noteKept } from '../unattended/keys.js';
import { outputOf } from './output.js';

interface Options {
	maxAge: string;
	kept?: string;
}

const marks = { ok: 'ok      ', warning: 'warning ', failed: 'FAILED  ' };

export function addDoctor(program: Command): void {
	program
		.command('doctor <profile>')
		.description('check all that a bad day would show, and say how to mend it')
		.option('--max-age <age>', 'how old the last backup may be', '2D')
		.option('--kept <place>', 'note that a copy of what opens the backups is kept in this place')
		.action(run);
}

async function run(profile: string, { maxAge, kept }: Options, command: Command): Promise<void> {
	const output = outputOf(command);
	const dir = findProfile(profile);
	const now = Date.now() / 1000;
	const oldest = parseTime(maxAge, now);
	if (kept !== undefined) await noteKept(await openProfile(dir), kept, new Date().toISOString().slice(0, 10));
	const counts = { ok: 0, warning: 0, failed: 0 };
	for await (const finding of diagnose({ dir, oldest, takeLock })) {
		counts[finding.state]++;
		const mend = finding.mend === undefined ? '' : `\n           to mend it: ${finding.mend}`;
		output.result(`${marks[finding.state]} ${finding.check}: ${finding.found}${mend}`, finding);
	}
	const { ok, warning, failed } = counts;
	output.summary(`${ok} ok, ${warning} to be looked at, ${failed} failed.`, counts);
	process.exitCode = failed > 0 ? 1 : warning > 0 ? 3 : 0;
}
