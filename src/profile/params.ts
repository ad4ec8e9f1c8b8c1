/**
 * The duplicity options in DUPL_PARAMS: which tsdup honours, which mean nothing here, and which it must refuse
 * because a backup without them would lose data or privacy.
 */
import { UsageError } from '../errors.js';
import { type NameForms, nameFlags, nameForms, nameValues, nonStandardOption } from './name-forms.js';
import type { SelectionOption } from './rules.js';

export interface DuplicityParameters {
	/** Bytes; null when not given. */
	readonly volumeSize: number | null;
	/** A time in duplicity's forms; null when not given. */
	readonly fullIfOlderThan: string | null;
	/** More options for gpg; empty without any. */
	readonly gpgOptions: string;
	/** False after `--no-encryption`. */
	readonly encryption: boolean;
	readonly endpoint: string | null;
	readonly region: string | null;
	readonly unencryptedConnection: boolean;
	/** Seconds without progress after which a connection is cut; null when not given. */
	readonly timeout: number | null;
	/** In S3's words, such as `STANDARD_IA`; null when not given. */
	readonly storageClass: string | null;
	/** What the names of objects look like that are read. */
	readonly nameForms: NameForms;
	/** An option that asks for other than the standard names, which only duplicity writes; null without one. */
	readonly nonStandardNames: string | null;
	/** In the order given. */
	readonly selection: readonly SelectionOption[];
	/** One sentence each, for the log. */
	readonly warnings: readonly string[];
}

const mebibyte = 1 << 20;

const storageClasses: Readonly<Record<string, string>> = {
	'--s3-use-rrs': 'REDUCED_REDUNDANCY',
	'--s3-use-ia': 'STANDARD_IA',
	'--s3-use-onezone-ia': 'ONEZONE_IA',
	'--s3-use-glacier': 'GLACIER',
	'--s3-use-glacier-ir': 'GLACIER_IR',
	'--s3-use-deep-archive': 'DEEP_ARCHIVE',
};

const honouredFlags = ['--no-encryption', '--s3-unencrypted-connection', ...nameFlags];
const honouredValues = [
	'--volsize',
	'--full-if-older-than',
	'--s3-endpoint-url',
	'--s3-region-name',
	'--timeout',
	'--gpg-options',
	...nameValues,
];
const selectionFlags = ['--exclude-device-files', '--exclude-other-filesystems'];
const selectionValues = [
	'--exclude',
	'--include',
	'--exclude-filelist',
	'--include-filelist',
	'--exclude-globbing-filelist',
	'--include-globbing-filelist',
	'--exclude-if-present',
	'--exclude-older-than',
	'--exclude-regexp',
	'--include-regexp',
];

/** How duplicity works, not what it stores. */
const ignoredFlags = [
	'--allow-source-mismatch',
	'--asynchronous-upload',
	'--force',
	'--ignore-errors',
	'--log-timestamp',
	'--mf-purge',
	'--no-compression',
	'--no-files-changed',
	'--no-print-statistics',
	'--progress',
	'--s3-european-buckets',
	'--s3-use-multiprocessing',
	'--s3-use-new-style',
	'--use-agent',
];
const ignoredValues = [
	'--archive-dir',
	'--backend-retry-delay',
	'--concurrency',
	'--log-fd',
	'--log-file',
	'--max-blocksize',
	'--metadata-sync-mode',
	'--name',
	'--num-retries',
	'--progress-rate',
	'--s3-multipart-chunk-size',
	'--s3-multipart-max-procs',
	'--s3-multipart-max-timeout',
	'--tempdir',
	'--verbosity',
	'-v',
];

/** What to do instead, by what the option begins with. */
const refused: readonly (readonly [RegExp, string])[] = [
	[
		/^--(hidden-)?encrypt-|^--sign-key|^--use-gpgsm/,
		'set GPG_KEY, GPG_KEYS_ENC and GPG_KEY_SIGN in conf instead',
	],
	[
		/^--(ex|in)clude-|^--files-from|^--filter-|^--null-separator/,
		'write the selection as globs in the file exclude',
	],
	[/^--copy-links/, 'tsdup stores links as links'],
	[/^--s3-use-server-side-kms|^--s3-kms/, 'set the encryption of the bucket instead'],
	[/^--dry-run/, 'give it to tsdup backup instead'],
];

/** Options whose abbreviations duplicity takes; one of them unrecognised would be ignored. */
const complete = [
	...[
		...honouredFlags,
		...honouredValues,
		...selectionFlags,
		...selectionValues,
		...Object.keys(storageClasses),
	],
	...['--encrypt-key', '--hidden-encrypt-key', '--sign-key', '--copy-links', '--files-from', '--dry-run'],
];

/**
 * @param words of DUPL_PARAMS, as the shell split it
 * @throws UsageError for an option that must not be ignored, or a value that cannot be used
 */
export function parseParameters(words: readonly Buffer[]): DuplicityParameters {
	const flags = new Set<string>();
	const values = new Map<string, string>();
	const selection: SelectionOption[] = [];
	const warnings: string[] = [];
	let storageClass: string | null = null;
	for (let i = 0; i < words.length; i++) {
		const { option, inline } = splitOption(words[i] as Buffer);
		const value = (): Buffer => {
			const found = inline ?? words[++i];
			if (found === undefined) throw new UsageError(`${option} in DUPL_PARAMS needs a value`);
			return found;
		};
		if (honouredFlags.includes(option)) flags.add(option);
		else if (honouredValues.includes(option)) values.set(option, value().toString());
		else if (selectionFlags.includes(option)) selection.push(selectionOption(option, Buffer.alloc(0)));
		else if (selectionValues.includes(option)) selection.push(selectionOption(option, value()));
		else if (ignoredValues.includes(option)) value();
		else if (storageClasses[option] !== undefined) storageClass = storageClasses[option];
		else if (!ignoredFlags.includes(option)) {
			refuse(option);
			warnings.push(`${option} in DUPL_PARAMS is not known to tsdup and has no effect`);
			// An unknown option's value, if it has one, is the word after it.
			if (inline === null && words[i + 1]?.[0] !== '-'.charCodeAt(0)) i++;
		}
	}
	return {
		volumeSize: volumeSize(values.get('--volsize')),
		fullIfOlderThan: values.get('--full-if-older-than') ?? null,
		gpgOptions: values.get('--gpg-options') ?? '',
		encryption: !flags.has('--no-encryption'),
		endpoint: values.get('--s3-endpoint-url') ?? null,
		region: values.get('--s3-region-name') ?? null,
		unencryptedConnection: flags.has('--s3-unencrypted-connection'),
		timeout: timeoutOf(values.get('--timeout')),
		storageClass,
		nameForms: nameForms(values),
		nonStandardNames: nonStandardOption(flags, values),
		selection,
		warnings,
	};
}

/** `--option=value`, `-v9`, or the option alone with its value, if any, in the next word. */
function splitOption(word: Buffer): { option: string; inline: Buffer | null } {
	if (word[0] !== '-'.charCodeAt(0)) {
		throw new UsageError('DUPL_PARAMS has a word that belongs to no option; check its quotes');
	}
	const long = word[1] === '-'.charCodeAt(0);
	const end = long ? word.indexOf('=') : 2;
	if (end < 0 || end >= word.length) return { option: word.toString(), inline: null };
	return { option: word.toString('utf8', 0, end), inline: word.subarray(long ? end + 1 : end) };
}

function selectionOption(option: string, value: Buffer): SelectionOption {
	const sign = option.startsWith('--include') ? 'include' : 'exclude';
	if (option === '--exclude-device-files') return { kind: 'device-files' };
	if (option === '--exclude-other-filesystems') return { kind: 'other-filesystems' };
	if (option === '--exclude-if-present') return { kind: 'if-present', file: value };
	if (option === '--exclude-older-than') return { kind: 'older-than', time: value.toString() };
	if (option.endsWith('-regexp')) return { kind: 'regexp', sign, pattern: value };
	if (option.endsWith('filelist')) return { kind: 'filelist', sign, file: value };
	return { kind: 'glob', sign, pattern: value };
}

function refuse(option: string): void {
	const reason = refused.find(([begin]) => begin.test(option))?.[1];
	if (reason !== undefined) {
		throw new UsageError(
			`${option} in DUPL_PARAMS is not supported, and ignoring it would not be safe: ${reason}`,
		);
	}
	const meant = complete.find((name) => name.startsWith(option));
	if (meant !== undefined)
		throw new UsageError(`${option} in DUPL_PARAMS is abbreviated; write it out, as ${meant}`);
}

function timeoutOf(text: string | undefined): number | null {
	if (text === undefined) return null;
	if (!/^[1-9]\d*$/.test(text))
		throw new UsageError(`--timeout ${text} in DUPL_PARAMS is not a number of seconds`);
	return Number(text);
}

function volumeSize(text: string | undefined): number | null {
	if (text === undefined) return null;
	if (!/^[1-9]\d*$/.test(text))
		throw new UsageError(`--volsize ${text} in DUPL_PARAMS is not a number of megabytes`);
	return Number(text) * mebibyte;
}
