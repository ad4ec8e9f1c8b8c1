/**
 * What has no room in a tar header block stands in extended headers before it: PAX records (for one entry, or for all that
 * follow) and GNU's long names. The tar reader collects them here and gets the whole header of each entry. Pure; the input
 * is not trusted. Values are bytes, so that it makes no difference whether PAX calls them UTF-8 or BINARY.
 */
import { isExtra, readExtras } from './extras.js';
import type { Fail, TarHeader } from './tar-header.js';

/** Longest body of a PAX header, bytes: Python holds it in memory too, and no path needs more. */
const MAX_PAX = 1 << 20;
/** Longest name, link target or owner name, bytes: 16 times what Linux takes for a path. */
const MAX_TEXT = 64 << 10;

/** Besides tsdup's own (extras.ts). Other vendors' keywords, access times and the like say nothing that a backup needs. */
const KEYWORDS: ReadonlySet<string> = new Set([
	'path',
	'linkpath',
	'uname',
	'gname',
	'uid',
	'gid',
	'size',
	'mtime',
]);

const GLOBAL = 'g';
const PAX = 'x';
const LONG_NAME = 'L';
const LONG_LINK = 'K';

export class ExtendedHeaders {
	readonly #fail: Fail;
	readonly #global = new Map<string, Buffer>();
	readonly #local = new Map<string, Buffer>();
	#awaited = false;

	constructor(fail: Fail) {
		this.#fail = fail;
	}

	/** True when the entry that the last extended header is about has not come yet. */
	get awaited(): boolean {
		return this.#awaited;
	}

	/** Most bytes that the body of an entry of this type may have; null when it is no extended header. */
	limit(flag: string): number | null {
		if (flag === PAX || flag === GLOBAL) return MAX_PAX;
		return flag === LONG_NAME || flag === LONG_LINK ? MAX_TEXT + 1 : null;
	}

	/** @param body of an entry for which there is a `limit`; may be overwritten afterwards */
	add(flag: string, body: Buffer): void {
		if (flag === PAX) this.#addRecords(this.#local, body);
		else if (flag === GLOBAL) this.#addRecords(this.#global, body);
		else this.#set(this.#local, flag === LONG_NAME ? 'path' : 'linkpath', untilNul(body));
		if (flag !== GLOBAL) this.#awaited = true;
	}

	/** The header with what was added since the entry before, and what is said for all. */
	apply(header: TarHeader): TarHeader {
		this.#awaited = false;
		if (this.#local.size === 0 && this.#global.size === 0) return header;
		const records = new Map([...this.#global, ...this.#local]);
		this.#local.clear();
		const number = (keyword: string, otherwise: number) => {
			const value = records.get(keyword);
			return value?.length ? this.#number(keyword, value) : otherwise;
		};
		// An empty value takes back what an earlier header said.
		const text = (keyword: string, otherwise: Buffer) => {
			const value = records.get(keyword);
			return value?.length ? value : otherwise;
		};
		return {
			...header,
			name: text('path', header.name),
			linkname: header.linkname && text('linkpath', header.linkname),
			uname: text('uname', header.uname),
			gname: text('gname', header.gname),
			uid: number('uid', header.uid),
			gid: number('gid', header.gid),
			size: number('size', header.size),
			mtime: number('mtime', header.mtime),
			mtimeNs: nanoseconds(records.get('mtime')),
			...readExtras(records),
		};
	}

	/** `LENGTH keyword=value\n` again and again, where LENGTH counts the whole record with its own digits. */
	#addRecords(records: Map<string, Buffer>, body: Buffer): void {
		let at = 0;
		while (at < body.length && body[at] !== 0) {
			const digits = /^([0-9]{1,7}) /.exec(body.toString('latin1', at, at + 8))?.[1] ?? '';
			const start = at + digits.length + 1;
			const end = at + Number(digits);
			const equals = body.indexOf(0x3d, start);
			if (equals < 0 || equals > end - 2 || end > body.length || body[end - 1] !== 0x0a) {
				this.#fail('an extended header has a record that is none');
			}
			const keyword = body.toString('latin1', start, equals);
			if (KEYWORDS.has(keyword) || isExtra(keyword))
				this.#set(records, keyword, body.subarray(equals + 1, end - 1));
			at = end;
		}
	}

	#set(records: Map<string, Buffer>, keyword: string, value: Buffer): void {
		if (value.length > MAX_TEXT) this.#fail(`an extended header has a ${keyword} of ${value.length} bytes`);
		records.set(keyword, Buffer.from(value));
	}

	/** Decimal; what stands behind the point of a time is cut off. */
	#number(keyword: string, value: Buffer): number {
		const pattern = keyword === 'mtime' ? /^(-?[0-9]+)(\.[0-9]*)?$/ : /^([0-9]+)$/;
		const number = Number(pattern.exec(value.toString('latin1'))?.[1] ?? Number.NaN);
		return Number.isSafeInteger(number)
			? number
			: this.#fail(`an extended header has a ${keyword} that is no number`);
	}
}

/** What stands behind the point of a time: null when there is no point. */
function nanoseconds(time: Buffer | undefined): number | null {
	const digits = /^[0-9]+\.([0-9]{1,9})/.exec(time?.toString('latin1') ?? '')?.[1];
	return digits === undefined ? null : Number(digits.padEnd(9, '0'));
}

function untilNul(body: Buffer): Buffer {
	const end = body.indexOf(0);
	return end < 0 ? body : body.subarray(0, end);
}
