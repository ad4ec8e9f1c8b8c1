/** A job as systemd's units: a service that runs it once, a timer, and a service for when it failed. See systemd.service(5). */
import type { Job } from './job.js';

/** @returns file names and what they hold; the timer is what is to be enabled */
export function systemdUnits(job: Job): Map<string, string> {
	const unit = unitName(job.name);
	const { hour, minute } = job.at;
	const time = `${String(hour).padStart(2, '0')}:${String(minute).padStart(2, '0')}`;
	const environment = Object.entries(job.environment).map(
		([name, value]) => `Environment=${quoted(`${name}=${value}`, { variables: false })}\n`,
	);
	const units = new Map([
		[
			`${unit}.service`,
			`# Made by tsdup schedule. What it says is in the journal: ${journal(job)}
[Unit]
Description=${plain(`tsdup: ${job.title}`)}
${job.system ? 'Wants=network-online.target\nAfter=network-online.target\n' : ''}${job.onFailure === undefined ? '' : `OnFailure=${unit}-failed.service\n`}
[Service]
Type=oneshot
${environment.join('')}ExecStart=${job.command.map((word) => quoted(word)).join(' ')}
# Done with warnings, which are in the journal, is done.
SuccessExitStatus=3
Nice=19
IOSchedulingClass=idle
`,
		],
		[
			`${unit}.timer`,
			`# Made by tsdup schedule.
[Unit]
Description=${plain(`tsdup: ${job.title}, each day`)}

[Timer]
OnCalendar=*-*-* ${time}
# Not all machines at once.
RandomizedDelaySec=${job.delay}
# A time that was slept through is made up for.
Persistent=true

[Install]
WantedBy=timers.target
`,
		],
	]);
	if (job.onFailure !== undefined) {
		units.set(
			`${unit}-failed.service`,
			`# Made by tsdup schedule.
[Unit]
Description=${plain(`tsdup: ${job.title} has failed`)}

[Service]
Type=oneshot
${environment.join('')}ExecStart=/bin/sh -c ${quoted(job.onFailure)}
`,
		);
	}
	return units;
}

/** How to read what a job said. */
export function journal({ name, system }: Job): string {
	return `journalctl ${system ? '' : '--user '}-u ${unitName(name)}`;
}

/** `tsdup-home`; what systemd does not take in a name is written as systemd-escape does. */
export function unitName(name: string): string {
	const bytes = [...Buffer.from(name)].map((byte) => {
		const character = String.fromCharCode(byte);
		return /[A-Za-z0-9:_.]/.test(character) ? character : `\\x${byte.toString(16).padStart(2, '0')}`;
	});
	return `tsdup-${bytes.join('')}`;
}

/** One word of a command line or assignment; `%` and, in commands, `$` mean something to systemd. */
function quoted(word: string, { variables = true } = {}): string {
	const escaped = plain(word).replaceAll(/[\\"]/g, '\\$&');
	return `"${variables ? escaped.replaceAll('$', '$$$$') : escaped}"`;
}

function plain(text: string): string {
	return text.replaceAll('%', '%%');
}
