/**
 * What tsdup keeps of an entry and duplicity has no place for, as PAX records of its tar header. Stock passes over them. Where
 * another program has a keyword for it that is the one, so that GNU tar and bsdtar restore it, too. Pure; what is read is not trusted.
 */
import { decodeXattrs, encodeXattrs, isKept, type Xattr } from './xattrs.js';

export interface Extras {
	/** Nanoseconds below the second of the modification time; null when not known. */
	readonly mtimeNs: number | null;
	/** Extended attributes and ACLs, as `encodeXattrs` has them; null: none, or not known. */
	readonly xattrs: Buffer | null;
	/**
	 * Entries of a snapshot with the same number are names of one file (hard links), if their other metadata are the same, too.
	 * null: it had one name only, or that is not known. Below 2^53.
	 */
	readonly hardLink: number | null;
	/** Bytes that a regular file with holes takes on disk; null: it has none, or that is not known. */
	readonly allocated: number | null;
}

export const NO_EXTRAS: Extras = { mtimeNs: null, xattrs: null, hardLink: null, allocated: null };

/** `keyword` has one character for each byte. */
export interface PaxRecord {
	readonly keyword: string;
	readonly value: Buffer;
}

const XATTR = 'SCHILY.xattr.';
const HARD_LINK = 'TSDUP.link';
const ALLOCATED = 'TSDUP.allocated';

/** All but the nanoseconds, which belong into the record of the time. */
export function extraRecords({ xattrs, hardLink, allocated }: Omit<Extras, 'mtimeNs'>): PaxRecord[] {
	const records: PaxRecord[] = decodeXattrs(xattrs).map(({ name, value }) => {
		return { keyword: XATTR + escaped(name.toString('latin1')), value };
	});
	if (hardLink !== null) records.push({ keyword: HARD_LINK, value: Buffer.from(String(hardLink)) });
	if (allocated !== null) records.push({ keyword: ALLOCATED, value: Buffer.from(String(allocated)) });
	return records;
}

export function isExtra(keyword: string): boolean {
	return keyword === HARD_LINK || keyword === ALLOCATED || keyword.startsWith(XATTR);
}

/** What makes no sense is left out: the entry is good without it. */
export function readExtras(records: ReadonlyMap<string, Buffer>): Omit<Extras, 'mtimeNs'> {
	const xattrs: Xattr[] = [];
	for (const [keyword, value] of records) {
		if (!keyword.startsWith(XATTR)) continue;
		const name = Buffer.from(unescaped(keyword.slice(XATTR.length)), 'latin1');
		if (isKept(name)) xattrs.push({ name, value });
	}
	return {
		xattrs: encoded(xattrs),
		hardLink: natural(records.get(HARD_LINK)),
		allocated: natural(records.get(ALLOCATED)),
	};
}

function encoded(xattrs: Xattr[]): Buffer | null {
	try {
		return encodeXattrs(xattrs);
	} catch {
		return null;
	}
}

function natural(value: Buffer | undefined): number | null {
	const text = value?.toString('latin1') ?? '';
	return /^[0-9]{1,16}$/.test(text) && Number.isSafeInteger(Number(text)) ? Number(text) : null;
}

/** A keyword ends at the first `=`. As GNU tar writes them. */
function escaped(name: string): string {
	return name.replace(/[%=]/g, (character) => (character === '%' ? '%25' : '%3D'));
}

function unescaped(name: string): string {
	return name.replace(/%25|%3D/g, (code) => (code === '%25' ? '%' : '='));
}
