/** What the man pages say beyond the definitions of commands and options, by command; the empty one is the program's. */
import type { Page } from './page.js';
import { backups } from './prose-backups.js';
import { purging } from './prose-purging.js';
import { snapshots } from './prose-snapshots.js';

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
	completion: {
		description: ['Prints the words of a shell that complete commands, options and the names of profiles.'],
		examples: [
			['source <(tsdup completion bash)', 'in ~/.bashrc.'],
			['source <(tsdup completion zsh)', 'in ~/.zshrc, after compinit.'],
			['tsdup completion fish >~/.config/fish/completions/tsdup.fish', 'once, for fish.'],
		],
	},
	...backups,
	...snapshots,
	...purging,
};
