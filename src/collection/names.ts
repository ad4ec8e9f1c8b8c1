/**
 * The names of objects on a target: all that duplicity ever wrote are read, its standard ones and tsdup's own
 * segments are written. Names are parsed strictly: what duplicity would not write is foreign, although stock takes
 * some of it (`….difftar.gz.tmp`) for its own.
 *
 *     duplicity-full.20231114T221320Z.vol1.difftar.gpg        standard
 *     duplicity-full.2023-11-14T23:13:20+01:00.manifest.gpg   old: before 0.6, or --old-filenames
 *     df.s44we8.1.dt.g                                        short: --short-filenames
 */
import { type NameForms, standardForms } from '../profile/name-forms.js';
import { formatSetTime, parseNameTime, parseShortTime } from './times.js';

export type SetKind = 'full' | 'inc';
/** `jsonstat`: statistics, which nothing here reads. */
export type Part = 'volume' | 'manifest' | 'sigtar' | 'jsonstat' | 'segment';
/** `gpg`: everything is an OpenPGP message. `none`: gzip, and the manifest plain. */
export type NameProtection = 'gpg' | 'none';

/** What names a backup set. */
export interface SetName {
	readonly kind: SetKind;
	/** End time of the set that an increment builds on, seconds; null for a full. */
	readonly start: number | null;
	/** The set's own (end) time, seconds. */
	readonly time: number;
}

export interface ParsedName extends SetName {
	/** As it is on the target, with prefixes. */
	readonly name: string;
	readonly part: Part;
	/** From 1; null for everything but a volume. */
	readonly volume: number | null;
	/** An OpenPGP message: `.gpg`, `.g` */
	readonly encrypted: boolean;
	/** `.gz`, `.z` */
	readonly compressed: boolean;
	/** A CMS message of gpgsm, which nothing here opens: `.p7m` */
	readonly gpgsm: boolean;
}

/** One text for each set, to find it by. */
export function setKey({ kind, start, time }: SetName): string {
	return `${kind} ${start} ${time}`;
}

interface Shape {
	readonly part: Part;
	readonly prefix: 'manifestPrefix' | 'archivePrefix' | 'signaturePrefix' | 'jsonstatPrefix' | null;
	/** Groups: word, start, time, volume, suffix. */
	readonly long: RegExp;
	readonly short: RegExp | null;
}

const longTimes = String.raw`\.(?:(?<start>.+?)\.to\.)?(?<time>.+?)\.`;
const shortTimes = String.raw`\.(?:(?<start>\w+)\.)?(?<time>\w+)\.`;

function long(words: string, rest: string, suffixes: string): RegExp {
	return new RegExp(`^(?<word>${words})${longTimes}${rest}(?<suffix>${suffixes})$`);
}

function short(words: string, rest: string, suffixes: string): RegExp {
	return new RegExp(`^(?<word>${words})${shortTimes}${rest}(?<suffix>${suffixes})$`);
}

const longSuffix = String.raw`(?:\.(?:gpg|gz|p7m))?`;
const shortSuffix = String.raw`(?:\.[gz])?`;
const sets = 'duplicity-full|duplicity-inc';
const signatures = 'duplicity-full-signatures|duplicity-new-signatures';

const shapes: readonly Shape[] = [
	{
		part: 'volume',
		prefix: 'archivePrefix',
		long: long(sets, String.raw`vol(?<volume>[1-9]\d{0,8})\.difftar`, longSuffix),
		short: short('df|di', String.raw`(?<volume>[1-9a-z][0-9a-z]{0,5})\.dt`, shortSuffix),
	},
	{
		part: 'manifest',
		prefix: 'manifestPrefix',
		// Never compressed.
		long: long(sets, 'manifest', String.raw`(?:\.(?:gpg|p7m))?`),
		short: short('df|di', 'm', String.raw`(?:\.g)?`),
	},
	{
		part: 'sigtar',
		prefix: 'signaturePrefix',
		long: long(signatures, 'sigtar', longSuffix),
		short: short('dfs|dns', 'st', shortSuffix),
	},
	{
		part: 'jsonstat',
		prefix: 'jsonstatPrefix',
		long: long(sets, 'jsonstat', longSuffix),
		short: short('dfst|dist', 'jst', shortSuffix),
	},
	{
		part: 'segment',
		prefix: null,
		long: long('tsdup-index', 'segment', String.raw`\.(?:gpg|gz)`),
		short: null,
	},
];

/** Words of a full; `tsdup-index` names both kinds. */
const fullWords = new Set(['duplicity-full', 'duplicity-full-signatures', 'df', 'dfs', 'dfst']);

/** @returns null when the name is not one that duplicity writes with the options of `forms`, nor tsdup's */
export function parseName(name: string, forms: NameForms = standardForms): ParsedName | null {
	for (const shape of shapes) {
		const parsed = parseAs(shape, name, forms);
		if (parsed !== null) return parsed;
	}
	return null;
}

function parseAs({ part, prefix, long, short }: Shape, name: string, forms: NameForms): ParsedName | null {
	const inFront = forms.prefix + (prefix === null ? '' : forms[prefix]);
	// tsdup writes no prefixes: a segment beside prefixed names is of another collection.
	if (!name.startsWith(inFront) || (part === 'segment' && inFront !== '')) return null;
	const own = name.slice(inFront.length);
	const ofShort = short?.exec(own)?.groups;
	const groups = ofShort ?? long.exec(own)?.groups;
	if (groups === undefined) return null;
	const { word = '', volume, suffix = '' } = groups;
	const seconds = (text: string) =>
		ofShort ? parseShortTime(text) : parseNameTime(text, forms.timeSeparator);
	const start = groups.start === undefined ? null : seconds(groups.start);
	const time = seconds(groups.time as string);
	const kind = groups.start === undefined ? 'full' : 'inc';
	// Stock ignores names whose time is 0.
	if (!time || start === 0 || (kind === 'inc' && start === null)) return null;
	if (part !== 'segment' && fullWords.has(word) !== (kind === 'full')) return null;
	return {
		kind,
		start,
		time,
		name,
		part,
		volume: volume === undefined ? null : Number.parseInt(volume, ofShort ? 36 : 10),
		encrypted: suffix === '.gpg' || suffix === '.g',
		compressed: suffix === '.gz' || suffix === '.z',
		gpgsm: suffix === '.p7m',
	};
}

/** @param number from 1 */
export function volumeName(set: SetName, number: number, protection: NameProtection): string {
	return `${stem(set)}.vol${number}.difftar${protection === 'gpg' ? '.gpg' : '.gz'}`;
}

export function manifestName(set: SetName, protection: NameProtection): string {
	return `${stem(set)}.manifest${protection === 'gpg' ? '.gpg' : ''}`;
}

export function sigtarName(set: SetName, protection: NameProtection): string {
	const word = set.kind === 'full' ? 'duplicity-full-signatures' : 'duplicity-new-signatures';
	return `${word}.${times(set)}.sigtar${protection === 'gpg' ? '.gpg' : '.gz'}`;
}

export function segmentName(set: SetName, protection: NameProtection): string {
	return `tsdup-index.${times(set)}.segment${protection === 'gpg' ? '.gpg' : '.gz'}`;
}

function stem(set: SetName): string {
	return `duplicity-${set.kind}.${times(set)}`;
}

function times({ start, time }: SetName): string {
	return `${start === null ? '' : `${formatSetTime(start)}.to.`}${formatSetTime(time)}`;
}
