/**
 * The names of objects on a target: duplicity's long names and tsdup's own segments. Names are parsed strictly:
 * what formatting would not write is foreign, although stock takes some of it (`….difftar.gz.tmp`) for its own.
 */
import { formatSetTime, parseSetTime } from './times.js';

export type SetKind = 'full' | 'inc';
export type Part = 'volume' | 'manifest' | 'sigtar' | 'segment';
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
	readonly name: string;
	readonly part: Part;
	/** From 1; null for everything but a volume. */
	readonly volume: number | null;
	/** `.gpg` */
	readonly encrypted: boolean;
	/** `.gz` */
	readonly compressed: boolean;
}

type Suffix = '.gpg' | '.gz' | '';

const suffixes: Readonly<Record<Part, readonly Suffix[]>> = {
	volume: ['.gpg', '.gz', ''],
	manifest: ['.gpg', ''],
	sigtar: ['.gpg', '.gz', ''],
	segment: ['.gpg', '.gz'],
};

const parts: Readonly<Record<string, Part>> = {
	difftar: 'volume',
	manifest: 'manifest',
	sigtar: 'sigtar',
	segment: 'segment',
};

const shape =
	/^(?:duplicity-(?:full|inc|full-signatures|new-signatures)|tsdup-index)\.(?:(\w{16})\.to\.)?(\w{16})\.(?:vol(\d+)\.)?(difftar|manifest|sigtar|segment)(\.gpg|\.gz)?$/;

/** @returns null when the name is not one that duplicity or tsdup writes, with long names and no prefix */
export function parseName(name: string): ParsedName | null {
	const match = shape.exec(name);
	if (match === null) return null;
	const start = match[1] === undefined ? null : parseSetTime(match[1]);
	const time = parseSetTime(match[2] as string);
	const part = parts[match[4] as string];
	const volume = match[3] === undefined ? null : Number(match[3]);
	const suffix = (match[5] ?? '') as Suffix;
	// Stock ignores names whose time is 0.
	if (!time || start === 0 || part === undefined || volume === 0 || !suffixes[part].includes(suffix))
		return null;
	const set: SetName = { kind: match[1] === undefined ? 'full' : 'inc', start, time };
	if (format(set, part, volume, suffix) !== name) return null;
	return { ...set, name, part, volume, encrypted: suffix === '.gpg', compressed: suffix === '.gz' };
}

/** @param number from 1 */
export function volumeName(set: SetName, number: number, protection: NameProtection): string {
	return format(set, 'volume', number, protection === 'gpg' ? '.gpg' : '.gz');
}

export function manifestName(set: SetName, protection: NameProtection): string {
	return format(set, 'manifest', null, protection === 'gpg' ? '.gpg' : '');
}

export function sigtarName(set: SetName, protection: NameProtection): string {
	return format(set, 'sigtar', null, protection === 'gpg' ? '.gpg' : '.gz');
}

export function segmentName(set: SetName, protection: NameProtection): string {
	return format(set, 'segment', null, protection === 'gpg' ? '.gpg' : '.gz');
}

function format(set: SetName, part: Part, volume: number | null, suffix: Suffix): string {
	const times = set.start === null ? '' : `${formatSetTime(set.start)}.to.`;
	const stem = `${lead(set.kind, part)}.${times}${formatSetTime(set.time)}`;
	switch (part) {
		case 'volume':
			return `${stem}.vol${volume}.difftar${suffix}`;
		case 'manifest':
			return `${stem}.manifest${suffix}`;
		case 'sigtar':
			return `${stem}.sigtar${suffix}`;
		case 'segment':
			return `${stem}.segment${suffix}`;
	}
}

function lead(kind: SetKind, part: Part): string {
	if (part === 'segment') return 'tsdup-index';
	if (part === 'sigtar') return kind === 'full' ? 'duplicity-full-signatures' : 'duplicity-new-signatures';
	return kind === 'full' ? 'duplicity-full' : 'duplicity-inc';
}
