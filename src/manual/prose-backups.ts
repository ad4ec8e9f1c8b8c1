/** What the man pages say of profiles, and of making backups by hand and by themselves. */
import type { Page } from './page.js';

export const backups: Readonly<Record<string, Page>> = {
	create: {
		description: [
			'Makes the folder of a new profile, mode 0700, with a commented conf and an exclude list. It overwrites nothing.',
			'At a terminal it asks what to back up, where to, and for a passphrase, or makes one. Elsewhere, and with --no-questions, it asks nothing, and the conf has to be edited.',
		],
		examples: [['tsdup create home', 'makes ~/.tsdup/home.']],
	},
	backup: {
		description: [
			'Backs up the SOURCE of the profile to its TARGET: everything the first time, and whenever a full backup is due (MAX_FULLBKP_AGE, --full-if-older-than); else what changed since the last backup.',
			'The programs pre and post in the profile, if there are any, are run before and after it. When one fails, the backup is made all the same, and the exit status is 1.',
			'It asks nothing, so it can run from a timer (tsdup schedule). Of two at once the second ends with exit status 5. When a run is killed, the next one removes what it left and says so. A file that cannot be read is warned of and keeps its last state in the backup; the exit status is then 3.',
		],
		examples: [
			['tsdup backup home', 'backs up what changed.'],
			['tsdup backup home --full', 'backs up all, which depends on no former backup.'],
			['tsdup backup home --dry-run', 'only counts.'],
		],
	},
	run: {
		description: [
			"Runs duply's commands one after the other: backup, pre, bkp, post, full, incr, verify, list, status, restore, fetch, purge, purgeFull, purgeIncr, purgeAuto, cleanup. backup stands for [pre_bkp_post]; the others are the commands of tsdup of that name.",
			'They are joined by _ (the next one runs in any case), + or _and_ (if the one before succeeded), - or _or_ (if it failed), and grouped by brackets, or _groupIn_ and _groupOut_. A command that ended with warnings has succeeded.',
			'The exit status is that of the first command that failed; else 3 if there were warnings, else 0.',
		],
		examples: [
			['tsdup run home pre+[bkp-status]_post', 'shows the status if the backup fails.'],
			['tsdup run home fetch etc/passwd /tmp/passwd 1D', 'one command may have arguments.'],
		],
		seeAlso: ['duply'],
	},
	schedule: {
		description: [
			'Prints what backs up a profile each night, or with --install writes it and starts it: a systemd service and timer, for the user, or for the machine when run as root. Where there is no systemd, and with --cron, it prints a line for the crontab.',
			"With a batch of duply's commands (see tsdup-run) that is run instead of the backup alone; --force is then for its purge commands.",
			'It begins at the time of --at, or up to an hour later, with the lowest priority. What it says is in the journal; from cron, in a log that is put aside when it has a mebibyte, and cron mails warnings and errors. After a failure, but not after warnings, the command of --on-failure runs.',
		],
		examples: [
			['tsdup schedule home --install', 'backs up each night from now on.'],
			[
				'tsdup schedule home backup_verify_purge --force --install',
				'also verifies each backup, and deletes what is older than MAX_AGE.',
			],
			['tsdup schedule home --cron --at 23:00', 'prints a line for: crontab -e.'],
		],
		files: [
			['~/.config/systemd/user/tsdup-PROFILE.timer', "a user's timer, with its service beside it."],
			['/etc/systemd/system/tsdup-PROFILE.timer', "the machine's."],
			[
				'~/.cache/tsdup/logs/PROFILE.log',
				'what backups from cron had to say; the one before is PROFILE.log.1.',
			],
		],
		seeAlso: ['tsdup-backup', 'tsdup-run', 'tsdup-doctor', 'systemd.timer(5)', 'crontab(5)'],
	},
	doctor: {
		description: [
			'Checks all that a bad day would show: the conf and who may write it, the source, the keys or passphrase and that a copy is kept elsewhere, FUSE, room for the cache, the index, the lock, the clock, the target and that it takes and deletes objects, the age of the last backup, what is missing or belongs to no backup. For each complaint it says how to mend it.',
			'It changes nothing, but for a small object that it puts on the target, reads and deletes. Exit status: 0 when all is well, 3 when something should be looked at, 1 when something is broken.',
		],
		examples: [
			['tsdup doctor home', 'looks at everything.'],
			[
				'tsdup doctor home --kept "on paper, in the safe"',
				'notes where a copy of the passphrase or key is kept.',
			],
			['tsdup -q doctor home --max-age 8D', 'asks no more than one backup a week.'],
		],
		seeAlso: ['tsdup-status', 'tsdup-schedule'],
	},
};
