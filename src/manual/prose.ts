/** What the man pages say beyond the definitions of commands and options, by command; the empty one is the program's. */

export interface Page {
	/** Paragraphs. */
	readonly description: readonly string[];
	readonly examples?: readonly (readonly [command: string, meaning: string])[];
	readonly files?: readonly (readonly [path: string, meaning: string])[];
	/** Other pages: `tsdup-mount`, `duplicity`, `systemd.timer(5)`. */
	readonly seeAlso?: readonly string[];
}

const time =
	'A time is written as in duplicity: now, 2026-11-23, 2026-11-23T07:49:16+01:00, 7D, 2W, 1M3D, or seconds since 1970. The newest snapshot that is not later is meant; without a time, the newest of all.';

const purging = [
	'Only whole chains go, or all increments of one, so that no backup that stays needs one that goes. The newest chain is never deleted. No object is read, so no key or passphrase is needed.',
];

export const pages: Readonly<Record<string, Page>> = {
	'': {
		description: [
			"tsdup makes encrypted, incremental backups of a folder, on S3 or on a disk, in duplicity's own format. It mounts them as plain folders, one for each backup, and reads from the storage only what is opened. Backups that duplicity or duply made are opened in the same way.",
			"What is backed up, where to, and how it is encrypted stands in a profile: a folder that tsdup create makes, in duply's layout. It is named by the name of the folder, or by a path with a slash.",
			'Passphrases, keys and credentials appear in no argument, message or log.',
		],
		examples: [
			['tsdup create home', 'makes a profile; its conf wants to be edited.'],
			['tsdup backup home', 'backs up what changed.'],
			['tsdup mount snapshots', 'shows every backup as a folder in the empty folder snapshots.'],
			['tsdup restore home /tmp/all 7D', 'restores all as it was a week ago.'],
		],
		files: [
			['~/.tsdup/PROFILE/conf', 'what to back up, where to, how: shell code.'],
			['~/.tsdup/PROFILE/exclude', 'what to leave out: globs, first match wins.'],
			[
				'/etc/tsdup, ~/.duply, /etc/duply',
				'where profiles are looked for after ~/.tsdup; a folder in the variable TSDUP_PROFILES comes first.',
			],
			[
				'~/.cache/tsdup',
				'the index and caches; it can be deleted when no tsdup command runs, and is built again from the target.',
			],
			[
				'~/.cache/tsdup/mount.log, ~/.cache/tsdup/logs',
				'what background mounts, and backups from cron, had to say.',
			],
		],
		seeAlso: ['duplicity', 'duply', 'gpg'],
	},
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
	mount: {
		description: [
			'Shows every snapshot of a collection as a folder, named by its local date, read-only; latest is a link to the newest. It returns when they can be listed, and goes on in the background.',
			'With several profiles each is a folder at the root. With --target a collection is mounted without any profile; its passphrase is in the variable PASSPHRASE, as for duplicity.',
		],
		examples: [
			['tsdup mount snapshots', 'mounts the only profile there is.'],
			['tsdup mount -p home -p work snapshots', 'mounts two.'],
			['tsdup mount --target s3:///bucket/backups snapshots', 'mounts what duplicity wrote there.'],
		],
		files: [['~/.cache/tsdup/mount.log', 'what is behind an Input/output error.']],
		seeAlso: ['tsdup-umount', 'fusermount3', 'mount(8)'],
	},
	umount: {
		description: ['Unmounts what tsdup mount mounted; without a mountpoint the only tsdup mount there is.'],
		seeAlso: ['tsdup-mount'],
	},
	status: {
		description: [
			'Lists the chains and sets on the target: their ages and sizes, when tsdup verify last found them good, when the next backup will be a full one by itself, and what belongs to none, object by object.',
			'With --mounts instead of a profile it lists the mounts there are, and the process that holds each.',
		],
		examples: [
			['tsdup status home', 'lists the backups.'],
			['tsdup status --mounts', 'lists the mounts.'],
		],
		seeAlso: ['tsdup-verify', 'tsdup-umount'],
	},
	list: {
		description: ['Prints the paths of a snapshot, one on a line, as the bytes they are.', time],
		examples: [['tsdup list home 7D', 'lists what there was a week ago.']],
	},
	verify: {
		description: [
			'Reads each object that a snapshot needs once, as a stream, and checks it: volumes and signatures against their digests, manifests and segments by reading them to their end. Each object that is not good is a line of the output, and so is each file of the snapshot that cannot be read because of it. Nothing that is damaged ends the run.',
			'With --compare-data the source is compared with the snapshot as well, as duplicity does it: type, mode, owner, time in whole seconds, link and content. Without it the source is not looked at.',
			'Signatures (GPG_KEY_SIGN) are not checked, and that is said: duplicity verify --sign-key does it.',
			'With --sample only some percent of the bytes are read, of whole objects, those that were not verified for longest: run every day, it goes through all backups in turn.',
			time,
		],
		examples: [
			['tsdup verify home', 'checks the newest snapshot.'],
			['tsdup verify home 7D --compare-data', 'also compares the snapshot of a week ago with the source.'],
			['tsdup verify home --sample 5%', 'checks a twentieth of all backups.'],
		],
		seeAlso: ['tsdup-status', 'tsdup-restore', 'duplicity'],
	},
	purge: {
		description: [
			'Lists the chains (a full backup and the increments upon it) whose last backup is older than the age, which is MAX_AGE of the conf or the argument: a time as in 6M, 2W, 2026-11-23. With --force it deletes them. Without, nothing is changed.',
			...purging,
		],
		examples: [
			['tsdup purge home', 'lists what is older than MAX_AGE.'],
			['tsdup purge home 6M --force', 'deletes what is older than six months of 30 days.'],
		],
		seeAlso: ['tsdup-purge-full', 'tsdup-purge-incr', 'tsdup-purge-auto', 'tsdup-cleanup'],
	},
	'purge-full': {
		description: [
			'Keeps so many of the newest full backups with their increments: MAX_FULL_BACKUPS of the conf, or the argument. Lists what is older; with --force deletes it.',
			...purging,
		],
		examples: [
			['tsdup purge-full home 3 --force', 'keeps the three newest full backups and their increments.'],
		],
		seeAlso: ['tsdup-purge', 'tsdup-purge-incr', 'tsdup-purge-auto'],
	},
	'purge-incr': {
		description: [
			'Keeps the increments of so many of the newest full backups: MAX_FULLS_WITH_INCRS of the conf, or the argument. Lists the increments of older ones; with --force deletes them. The full backups stay.',
			...purging,
		],
		examples: [
			['tsdup purge-incr home 1 --force', 'of all full backups but the newest, deletes the increments.'],
		],
		seeAlso: ['tsdup-purge', 'tsdup-purge-full', 'tsdup-purge-auto'],
	},
	'purge-auto': {
		description: [
			'Does what purge, purge-full and purge-incr do, one after the other: those whose variable (MAX_AGE, MAX_FULL_BACKUPS, MAX_FULLS_WITH_INCRS) the conf sets.',
			...purging,
		],
		examples: [['tsdup purge-auto home --force', 'deletes what the conf does not want to be kept.']],
		seeAlso: ['tsdup-purge', 'tsdup-purge-full', 'tsdup-purge-incr'],
	},
	cleanup: {
		description: [
			'Lists what belongs to no backup, and with --force deletes it: what an interrupted run left, increments whose base is lost, index segments and signatures of sets that are gone, uploads that were begun and not ended. A set of which only the manifest is lost stays, since tsdup can still show it.',
			'Nothing else may back up to the target meanwhile, like duplicity or another host: what such a run has stored so far looks just like that.',
		],
		examples: [['tsdup cleanup home', 'lists what would go.']],
		seeAlso: ['tsdup-purge', 'tsdup-status'],
	},
	restore: {
		description: [
			'Restores a whole snapshot with its metadata. Owners and devices come back when it runs as root.',
			'A restore that was interrupted goes on when it is started again: what is there with the right size and time is taken for finished. Anything else at the destination is named, and nothing is restored, unless --force is given: then every file is written anew, over what is there; folders that are there stay, with what else is in them.',
			'With - as the destination a tar archive is written to stdout.',
			time,
		],
		examples: [
			['tsdup restore home /tmp/all', 'restores the newest snapshot.'],
			['tsdup restore home - 7D >all.tar', 'makes a tar archive of what there was a week ago.'],
		],
		seeAlso: ['tsdup-fetch', 'tsdup-mount'],
	},
	fetch: {
		description: [
			'Restores one file or folder of a snapshot. The path is relative to the source. If the destination is a folder, it goes into it under its own name, as with cp; with - it is written to stdout, in a tar archive. What is there already is treated as by tsdup restore.',
			time,
		],
		examples: [['tsdup fetch home etc/passwd /tmp/passwd 1D', 'fetches a file as it was yesterday.']],
		seeAlso: ['tsdup-restore', 'tsdup-mount'],
	},
	index: {
		description: [
			'The index is a cache of names and places, kept on this machine. It can always be built again from the target.',
		],
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
	completion: {
		description: ['Prints the words of a shell that complete commands, options and the names of profiles.'],
		examples: [
			['source <(tsdup completion bash)', 'in ~/.bashrc.'],
			['source <(tsdup completion zsh)', 'in ~/.zshrc, after compinit.'],
			['tsdup completion fish >~/.config/fish/completions/tsdup.fish', 'once, for fish.'],
		],
	},
};
