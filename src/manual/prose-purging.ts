/** What the man pages say of deleting backups. */
import type { Page } from './page.js';

const whatStays = [
	'Only whole chains go, or all increments of one, so that no backup that stays needs one that goes. The newest chain is never deleted. No object is read, so no key or passphrase is needed.',
];

export const purging: Readonly<Record<string, Page>> = {
	purge: {
		description: [
			'Lists the chains (a full backup and the increments upon it) whose last backup is older than the age, which is MAX_AGE of the conf or the argument: a time as in 6M, 2W, 2026-11-23. With --force it deletes them. Without, nothing is changed.',
			...whatStays,
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
			...whatStays,
		],
		examples: [
			['tsdup purge-full home 3 --force', 'keeps the three newest full backups and their increments.'],
		],
		seeAlso: ['tsdup-purge', 'tsdup-purge-incr', 'tsdup-purge-auto'],
	},
	'purge-incr': {
		description: [
			'Keeps the increments of so many of the newest full backups: MAX_FULLS_WITH_INCRS of the conf, or the argument. Lists the increments of older ones; with --force deletes them. The full backups stay.',
			...whatStays,
		],
		examples: [
			['tsdup purge-incr home 1 --force', 'of all full backups but the newest, deletes the increments.'],
		],
		seeAlso: ['tsdup-purge', 'tsdup-purge-full', 'tsdup-purge-auto'],
	},
	'purge-auto': {
		description: [
			'Does what purge, purge-full and purge-incr do, one after the other: those whose variable (MAX_AGE, MAX_FULL_BACKUPS, MAX_FULLS_WITH_INCRS) the conf sets.',
			...whatStays,
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
};
