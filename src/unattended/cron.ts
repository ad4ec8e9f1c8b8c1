/** A job as a line of a crontab, see crontab(5). cron mails what the job says; all of it is in the log as well. */
import { createHash } from 'node:crypto';
import { hostname } from 'node:os';
import type { Job } from './job.js';

/** @param log absolute path of the job's log */
export function cronLine(job: Job, log: string): string {
	// cron knows no random delay: one that is always the same on this machine does as well.
	const digest = createHash('sha256').update(`${hostname()} ${job.name}`).digest();
	const minutes =
		job.at.hour * 60 + job.at.minute + Math.floor((digest.readUInt16BE() * (job.delay / 60)) / 65536);
	const [program, script, ...words] = job.command;
	const command = ['nice', '-n', '19', 'ionice', '-c', '3', program, script, '-q', '--log', log, ...words];
	const environment = Object.entries(job.environment).map(([name, value]) => `${name}=${value}`);
	const line = ['env', ...environment, ...command].map((word) => quoted(word as string)).join(' ');
	const failure = job.onFailure === undefined ? '' : ` || [ $? -eq 3 ] || { ${job.onFailure}; }`;
	// A bare % ends the command.
	return `${minutes % 60} ${Math.floor(minutes / 60) % 24} * * * ${(line + failure).replaceAll('%', '\\%')}`;
}

function quoted(word: string): string {
	return /^[\w@+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`;
}
