/**
 * Times: as they stand in object names, as people type them, and as snapshots are called. Every time is
 * in whole seconds since 1970 UTC.
 */
import { UsageError } from '../errors.js';

const day = 86_400;

/**
 * Seconds per unit of an interval such as `1M3D`; a month has 30 days and a year 365, as in duplicity. It does not take the
 * small letters, which people write all the same; of `m` the case matters.
 */
const unitSeconds: Readonly<Record<string, number>> = {
	s: 1,
	m: 60,
	h: 3600,
	D: day,
	d: day,
	W: 7 * day,
	w: 7 * day,
	M: 30 * day,
	Y: 365 * day,
	y: 365 * day,
};

const acceptedForms =
	'now, 2010-10-04, 2010-10-04T15:35:38+02:00, 20101004T133538Z, 1286199338 (seconds since 1970), or an ' +
	'interval before now such as 7D, 2W, 1M3D, 1h30m (s m h D W M Y)';

/** The form in object names: `20231114T221320Z`. */
export function formatSetTime(seconds: number): string {
	return `${new Date(seconds * 1000).toISOString().slice(0, 19).replaceAll(/[-:]/g, '')}Z`;
}

/** The reverse of formatSetTime; null for anything that formatSetTime would not write. */
export function parseSetTime(text: string): number | null {
	const match = /^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z$/.exec(text);
	if (match === null) return null;
	const [, year, month, date, hour, minute, second] = match;
	const milliseconds = Date.parse(`${year}-${month}-${date}T${hour}:${minute}:${second}Z`);
	if (Number.isNaN(milliseconds)) return null;
	const seconds = milliseconds / 1000;
	return formatSetTime(seconds) === text ? seconds : null;
}

/**
 * A time in an object's name: as formatSetTime writes it, or, in old names, local with its offset:
 * `2023-11-14T23:13:20+01:00`. Also in lower case, as some stores give names back.
 * @param separator stands for the colons in old names
 * @returns seconds; null for anything else
 */
export function parseNameTime(text: string, separator: string): number | null {
	const recent = parseSetTime(text.toUpperCase());
	if (recent !== null) return recent;
	const match = /^(\d{4})-(\d\d)-(\d\d)T(\d\d)(.)(\d\d)(.)(\d\d)(?:Z|([+-]\d\d)(.)(\d\d))$/is.exec(text);
	if (match === null) return null;
	const [, year, month, date, hour, colon1, minute, colon2, second, hours = '0', colon3, minutes = '0'] =
		match;
	if ([colon1, colon2, colon3 ?? separator].some((colon) => colon !== separator)) return null;
	const local = parseSetTime(`${year}${month}${date}T${hour}${minute}${second}Z`);
	// Half an hour west of UTC-3 is `-04:30` in duplicity's names: the minutes always count eastwards.
	return local === null ? null : local - (Number(hours) * 60 + Number(minutes)) * 60;
}

/** A time in a short name, base 36: `s44we8`. Null for fewer digits than the times since 1972 have. */
export function parseShortTime(text: string): number | null {
	return /^[1-9a-z][0-9a-z]{5,6}$/.test(text) ? Number.parseInt(text, 36) : null;
}

/**
 * A TIME as given on the command line or in a conf, in duplicity's forms. Dates and times without a zone are in
 * the local zone with its daylight saving; duplicity knows no daylight saving and is an hour off in summer.
 * Digits alone are always seconds: `20101004` is an instant in 1970.
 * @param now seconds
 * @throws UsageError for any other form
 */
export function parseTime(text: string, now: number): number {
	const seconds =
		text === 'now'
			? now
			: /^\d+$/.test(text)
				? Number(text)
				: (parseSetTime(text) ?? parseIso(text) ?? parseInterval(text, now) ?? parseDate(text));
	if (seconds === null) throw new UsageError(`"${text}" is not a time; use ${acceptedForms}`);
	return seconds;
}

function parseIso(text: string): number | null {
	const match = /^(\d{4})-(\d\d)-(\d\d)T(\d\d):(\d\d):(\d\d)(?:Z|([+-])(\d\d):(\d\d))?$/.exec(text);
	if (match === null) return null;
	const numbers = match.map(Number);
	const [, year = 0, month = 0, date = 0, hour = 0, minute = 0, second = 0, , offsetHour, offsetMinute] =
		numbers;
	if (!isDate(year, month, date) || hour > 23 || minute > 59 || second > 59) return null;
	if (!text.endsWith('Z') && match[7] === undefined) {
		return new Date(year, month - 1, date, hour, minute, second).getTime() / 1000;
	}
	const offset = match[7] === undefined ? 0 : (offsetHour as number) * 3600 + (offsetMinute as number) * 60;
	const utc = Date.UTC(year, month - 1, date, hour, minute, second) / 1000;
	return match[7] === '-' ? utc + offset : utc - offset;
}

function parseInterval(text: string, now: number): number | null {
	if (!/^(?:\d+[smhDdWwMYy])+$/.test(text)) return null;
	let seconds = now;
	for (const [, count, unit] of text.matchAll(/(\d+)([smhDdWwMYy])/g)) {
		seconds -= Number(count) * (unitSeconds[unit as string] as number);
	}
	return seconds;
}

function parseDate(text: string): number | null {
	const yearFirst =
		/^(\d{4})-(\d{1,2})-(\d{1,2})$/.exec(text) ??
		/^(\d{4})\/(\d{1,2})\/(\d{1,2})$/.exec(text) ??
		/^(\d{4})(\d\d)(\d\d)Z$/.exec(text);
	const monthFirst =
		/^(\d{1,2})-(\d{1,2})-(\d{4})$/.exec(text) ?? /^(\d{1,2})\/(\d{1,2})\/(\d{4})$/.exec(text);
	const [year, month, date] =
		yearFirst !== null
			? [yearFirst[1], yearFirst[2], yearFirst[3]].map(Number)
			: [monthFirst?.[3], monthFirst?.[1], monthFirst?.[2]].map(Number);
	if (year === undefined || month === undefined || date === undefined || !isDate(year, month, date))
		return null;
	return new Date(year, month - 1, date).getTime() / 1000;
}

/** False for NaN and for days that the calendar has not, such as 30 February. Years as in duplicity. */
function isDate(year: number, month: number, date: number): boolean {
	if (!(year >= 1901 && year <= 2099)) return false;
	const utc = new Date(Date.UTC(year, month - 1, date));
	return utc.getUTCMonth() === month - 1 && utc.getUTCDate() === date;
}

/** A snapshot's short name, its local date: `2010-10-04`. */
export function snapshotDate(seconds: number): string {
	const time = new Date(seconds * 1000);
	return `${time.getFullYear()}-${two(time.getMonth() + 1)}-${two(time.getDate())}`;
}

/**
 * A snapshot's long name, its local date and time: `2010-10-04_15-35-38`. Two times may have one name: in the
 * hour that is lived twice when daylight saving ends.
 */
export function snapshotDateTime(seconds: number): string {
	const time = new Date(seconds * 1000);
	return `${snapshotDate(seconds)}_${two(time.getHours())}-${two(time.getMinutes())}-${two(time.getSeconds())}`;
}

function two(n: number): string {
	return String(n).padStart(2, '0');
}
