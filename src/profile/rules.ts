/**
 * Selection rules: what they are, how a file list spells them, and in which order a profile's are tested.
 */
import { readFile } from 'node:fs/promises';
import { UsageError } from '../errors.js';

export type Sign = 'include' | 'exclude';

export type Rule =
	| { readonly kind: 'glob'; readonly sign: Sign; readonly pattern: Buffer }
	/** A regular expression of Python's, found anywhere in the path. */
	| { readonly kind: 'regexp'; readonly sign: Sign; readonly pattern: Buffer }
	/** Excludes regular files that were changed before this time, seconds. */
	| { readonly kind: 'older-than'; readonly before: number }
	/** Excludes a directory that holds an entry of this name. */
	| { readonly kind: 'if-present'; readonly file: Buffer }
	/** Excludes character and block devices. */
	| { readonly kind: 'device-files' }
	/** Excludes what is on another file system than the source. */
	| { readonly kind: 'other-filesystems' };

/** A rule, or a file of rules, as an option of duplicity. */
export type SelectionOption =
	| Exclude<Rule, { kind: 'older-than' }>
	/** A time in duplicity's forms. */
	| { readonly kind: 'older-than'; readonly time: string }
	| { readonly kind: 'filelist'; readonly sign: Sign; readonly file: Buffer };

/**
 * A profile's rules in the order of test: those of DUPL_PARAMS, then the profile's file `exclude`, if there is one.
 * @param secondsOf what a time means
 * @throws UsageError when a file list cannot be read, and what `secondsOf` throws
 */
export async function readRules(
	options: readonly SelectionOption[],
	excludeFile: string,
	secondsOf: (time: string) => number,
): Promise<Rule[]> {
	const rules: Rule[] = [];
	for (const option of options) {
		if (option.kind === 'older-than') rules.push({ kind: option.kind, before: secondsOf(option.time) });
		else if (option.kind !== 'filelist') rules.push(option);
		else rules.push(...parseFilelist(await readList(option.file), option.sign));
	}
	const own = await readFile(excludeFile).catch((cause: NodeJS.ErrnoException) => {
		if (cause.code === 'ENOENT') return Buffer.alloc(0);
		throw unreadable(excludeFile, cause);
	});
	return [...rules, ...parseFilelist(own, 'exclude')];
}

/**
 * One pattern per line, `+ pattern` or `- pattern`, or a pattern alone, which takes `defaultSign`. Exactly one blank
 * follows the sign; `#` begins a comment line; quotes round a whole pattern are taken off.
 */
export function parseFilelist(text: Buffer, defaultSign: Sign): Rule[] {
	const rules: Rule[] = [];
	for (const line of text.toString('latin1').split('\n')) {
		const trimmed = line.replaceAll(/^[\t-\r ]+|[\t-\r ]+$/g, '');
		if (trimmed === '' || trimmed.startsWith('#')) continue;
		const [, mark, signed] = /^([+-]) (.*)$/s.exec(trimmed) ?? [];
		const sign = mark === undefined ? defaultSign : mark === '+' ? 'include' : 'exclude';
		const pattern = (signed ?? trimmed).replace(/^(["'])(.*)\1$/s, '$2');
		rules.push({ kind: 'glob', sign, pattern: Buffer.from(pattern, 'latin1') });
	}
	return rules;
}

function readList(file: Buffer): Promise<Buffer> {
	return readFile(file).catch((cause: unknown) => {
		throw unreadable(file.toString(), cause);
	});
}

function unreadable(file: string, cause: unknown): UsageError {
	return new UsageError(
		`the file list ${file} cannot be read; without it too much or too little would be backed up`,
		{
			cause,
		},
	);
}
