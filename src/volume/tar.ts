/**
 * Tar headers as duplicity's Python writes them: ustar, with a PAX extended header only where ustar has no room. Used by
 * the writers of volumes and sigtars; pure. Names are bytes.
 */

import { isAscii, isUtf8 } from 'node:buffer';
import type { PaxRecord } from './extras.js';

const BLOCK = 512;
/** Python's tarfile ends an archive on a multiple of this. */
const RECORD = 10240;
const NAME_LENGTH = 100;
const OWNER_LENGTH = 32;

const TYPE_FLAGS = {
	file: '0',
	link: '1',
	symlink: '2',
	chardev: '3',
	blockdev: '4',
	dir: '5',
	fifo: '6',
} as const;
const PAX_FLAG = 'x';
const ZERO = 0x30;
const ZEROS = Buffer.alloc(BLOCK);
const NONE = Buffer.alloc(0);

/** One entry of a volume or sigtar. `deleted/` entries are files whose numbers are all 0 and names empty. */
export interface TarEntry {
	/** With its kind (`snapshot/…`), and a trailing slash for a directory. */
	readonly name: Buffer;
	readonly type: keyof typeof TYPE_FLAGS;
	/** Bytes of content that follow the header. */
	readonly size: number;
	/** Only the permission bits, 0o7777, are written. */
	readonly mode: number;
	readonly uid: number;
	readonly gid: number;
	/** Empty when unknown. Over 32 bytes it is left out: the number says who. */
	readonly uname: string | Buffer;
	readonly gname: string | Buffer;
	/** Whole seconds since 1970; negative is written as 0, as duplicity does. */
	readonly mtime: number;
	/** Nanoseconds from there, which stock cuts off; absent: 0. */
	readonly mtimeNs?: number;
	/** PAX records that stock passes over. */
	readonly extras?: readonly PaxRecord[];
	/** Target of a symlink; of a hard link, which has no content, the name of what it is one of. */
	readonly linkname?: Buffer;
	readonly devMajor?: number;
	readonly devMinor?: number;
}

/** The header block(s) of an entry: 512 bytes, or more with a PAX extended header in front. */
export function tarHeader(entry: TarEntry): Buffer {
	const linkname = entry.linkname ?? NONE;
	const uname = ownerName(entry.uname);
	const gname = ownerName(entry.gname);
	const mtime = Math.max(entry.mtime, 0);
	const records = [
		...textRecord('path', entry.name, NAME_LENGTH),
		...textRecord('linkpath', linkname, NAME_LENGTH),
		...textRecord('uname', uname, OWNER_LENGTH),
		...textRecord('gname', gname, OWNER_LENGTH),
		...numberRecord('uid', entry.uid, 7),
		...numberRecord('gid', entry.gid, 7),
		...numberRecord('size', entry.size, 11),
		...timeRecord(mtime, entry.mtimeNs ?? 0),
	];
	const extras = entry.extras ?? [];
	const device = entry.type === 'chardev' || entry.type === 'blockdev';
	const block = ustarBlock(TYPE_FLAGS[entry.type], entry.name, entry.size, {
		mode: entry.mode & 0o7777,
		uid: entry.uid,
		gid: entry.gid,
		mtime,
	});
	writeText(block, 157, NAME_LENGTH, linkname);
	writeText(block, 265, OWNER_LENGTH, uname);
	writeText(block, 297, OWNER_LENGTH, gname);
	if (device) {
		writeOctal(block, 329, 7, entry.devMajor ?? 0);
		writeOctal(block, 337, 7, entry.devMinor ?? 0);
	}
	writeChecksum(block);
	return records.length + extras.length === 0 ? block : Buffer.concat([paxHeader(records, extras), block]);
}

/** The zeros after an entry's content of `length` bytes, up to the next block. */
export function padding(length: number): Buffer {
	return ZEROS.subarray(0, (BLOCK - (length % BLOCK)) % BLOCK);
}

/** What ends an archive of `tarLength` bytes: two zero blocks, and zeros up to a multiple of 10240. */
export function endOfArchive(tarLength: number): Buffer {
	const end = tarLength + 2 * BLOCK;
	return Buffer.alloc(Math.ceil(end / RECORD) * RECORD - tarLength);
}

function textRecord(keyword: string, value: Buffer, room: number): PaxRecord[] {
	return value.length > room || !isAscii(value) ? [{ keyword, value }] : [];
}

function numberRecord(keyword: string, value: number, digits: number): PaxRecord[] {
	return value >= 8 ** digits ? [{ keyword, value: Buffer.from(String(value)) }] : [];
}

function timeRecord(seconds: number, nanoseconds: number): PaxRecord[] {
	if (nanoseconds === 0) return numberRecord('mtime', seconds, 11);
	const value = `${seconds}.${String(nanoseconds).padStart(9, '0')}`;
	return [{ keyword: 'mtime', value: Buffer.from(value) }];
}

function paxHeader(records: PaxRecord[], extras: readonly PaxRecord[]): Buffer {
	const binary = records.some(({ value }) => !isUtf8(value));
	const charset = { keyword: 'hdrcharset', value: Buffer.from('BINARY') };
	const body = Buffer.concat([...(binary ? [charset] : []), ...records, ...extras].map(paxRecord));
	const header = Buffer.alloc(BLOCK + Math.ceil(body.length / BLOCK) * BLOCK);
	paxBlock(body.length).copy(header);
	body.copy(header, BLOCK);
	return header;
}

/** The header block of an extended header: only its length makes a difference, and most have the time alone. */
function paxBlock(length: number): Buffer {
	let block = paxBlocks.get(length);
	if (!block) {
		block = ustarBlock(PAX_FLAG, PAX_NAME, length, { mode: 0, uid: 0, gid: 0, mtime: 0 });
		writeChecksum(block);
		if (length <= BLOCK) paxBlocks.set(length, block);
	}
	return block;
}

const PAX_NAME = Buffer.from('././@PaxHeader');
const paxBlocks = new Map<number, Buffer>();

/** `LENGTH keyword=value\n`, where LENGTH counts the whole record with its own digits. */
function paxRecord({ keyword, value }: PaxRecord): Buffer {
	const rest = Buffer.concat([Buffer.from(` ${keyword}=`, 'latin1'), value, Buffer.from('\n')]);
	let length = rest.length;
	while (length !== rest.length + String(length).length) length = rest.length + String(length).length;
	return Buffer.concat([Buffer.from(String(length)), rest]);
}

/** The fields that every header has; the checksum is still blanks. */
function ustarBlock(
	flag: string,
	name: Buffer,
	size: number,
	numbers: { mode: number; uid: number; gid: number; mtime: number },
): Buffer {
	// From Node's pool of small buffers: one of its own would cost more than all that is written into it.
	const block = Buffer.allocUnsafe(BLOCK).fill(0);
	writeText(block, 0, NAME_LENGTH, name);
	writeOctal(block, 100, 7, numbers.mode);
	writeOctal(block, 108, 7, numbers.uid);
	writeOctal(block, 116, 7, numbers.gid);
	writeOctal(block, 124, 11, size);
	writeOctal(block, 136, 11, numbers.mtime);
	block.write(`        ${flag}`, 148, 'latin1');
	block.write('ustar\x0000', 257, 'latin1');
	return block;
}

/** Octal digits and a NUL; 0 when there is no room, a PAX record holds the number then. */
function writeOctal(block: Buffer, offset: number, digits: number, value: number): void {
	let rest = value < 8 ** digits ? value : 0;
	for (let i = offset + digits - 1; i >= offset; i--) {
		block[i] = ZERO + (rest % 8);
		rest = Math.floor(rest / 8);
	}
}

/** For readers without PAX: one `?` for each character that is not ASCII, cut to the field. */
function writeText(block: Buffer, offset: number, room: number, text: Buffer): void {
	if (text.length === 0) return;
	const shown = isAscii(text) ? text : Buffer.from(decode(text).replace(/[^\0-\x7f]/gu, '?'), 'latin1');
	shown.copy(block, offset, 0, room);
}

/** Characters where it is UTF-8; else each odd byte counts as one. */
function decode(text: Buffer): string {
	return text.toString(isUtf8(text) ? 'utf8' : 'latin1');
}

function writeChecksum(block: Buffer): void {
	let sum = 0;
	for (let i = 0; i < BLOCK; i++) sum += block[i] as number;
	writeOctal(block, 148, 6, sum);
	block[154] = 0;
}

function ownerName(name: string | Buffer): Buffer {
	const bytes = typeof name === 'string' ? Buffer.from(name) : name;
	return bytes.length > OWNER_LENGTH ? NONE : bytes;
}
