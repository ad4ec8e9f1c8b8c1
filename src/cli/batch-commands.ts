/** The words of duply's batches, and what each of them is here. */
import { UsageError } from '../errors.js';
import { parseBatch, type Step, wordsOf } from '../profile/batch.js';

/** The command line of each of duply's words, without the profile; null for scripts. */
export const COMMANDS: Readonly<Record<string, readonly string[] | null>> = {
	pre: null,
	post: null,
	bkp: ['backup', '--no-scripts'],
	full: ['backup', '--no-scripts', '--full'],
	incr: ['backup', '--no-scripts', '--incremental'],
	verify: ['verify'],
	list: ['list'],
	status: ['status'],
	restore: ['restore'],
	fetch: ['fetch'],
	purge: ['purge'],
	purgefull: ['purge-full'],
	purgeincr: ['purge-incr'],
	purgeauto: ['purge-auto'],
	cleanup: ['cleanup'],
};

/** duply's other words, and what does here what they do there. */
const INSTEAD: Readonly<Record<string, string>> = {
	verifypath: 'mount the snapshots (tsdup mount) and compare with diff -r',
	create: 'tsdup create PROFILE',
	usage: 'tsdup --help',
	version: 'tsdup --version',
	changelog: 'the history of the repository',
	txt2man: 'man tsdup',
};

/** Whether it deletes nothing without --force. */
export function isForced(word: string): boolean {
	return /^(purge|cleanup)/.test(word);
}

/** @returns what is to be run, and all its words in lower case. @throws UsageError for what is no batch, or has an unknown word */
export function readBatch(commands: string): { steps: Step[]; words: string[] } {
	// The dash would part these names, which are the commands' here.
	const batch = commands.replaceAll(/purge-(full|incr|auto)/gi, 'purge$1');
	const steps = parseBatch(batch, (word) =>
		word.toLowerCase() === 'backup' ? ['pre', 'bkp', 'post'] : null,
	);
	const words = wordsOf(steps).map((word) => word.toLowerCase());
	for (const word of words) checkWord(word);
	return { steps, words };
}

function checkWord(word: string): void {
	if (COMMANDS[word] !== undefined) return;
	const instead = INSTEAD[word];
	throw new UsageError(
		instead
			? `"${word}" is no part of a batch here; use ${instead}.`
			: `"${word}" is not a command of a batch. There are: backup, ${Object.keys(COMMANDS).join(', ')}.`,
	);
}
