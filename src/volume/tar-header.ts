/**
 * One header block of a tar archive, of any dialect that Python has written for duplicity: old V7, ustar, GNU. The tar reader
 * calls this for each entry and applies what extended headers say to it. Pure; the input is not trusted.
 */

import type { Extras } from './extras.js';

/** Bytes of a block. */
export const BLOCK = 512;

/** `link` is a hard link; `other` is anything that is not listed. Neither is ever written by duplicity. */
export type TarType = 'file' | 'dir' | 'symlink' | 'fifo' | 'chardev' | 'blockdev' | 'link' | 'other';

export interface TarHeader extends Extras {
	/** Bytes as they stand in the archive: with the kind (`snapshot/…`), and perhaps a slash after a directory's. */
	readonly name: Buffer;
	readonly type: TarType;
	/** Permission bits, 0 to 0o7777. */
	readonly mode: number;
	readonly uid: number;
	readonly gid: number;
	/** Empty when not known. */
	readonly uname: Buffer;
	readonly gname: Buffer;
	/** Whole seconds since 1970. */
	readonly mtime: number;
	/** Bytes of the body. */
	readonly size: number;
	/** Target of a link; null for the other types. */
	readonly linkname: Buffer | null;
	/** 0 unless it is a device. */
	readonly devMajor: number;
	readonly devMinor: number;
}

/** Throws the error that says which archive is damaged, where, and how. */
export type Fail = (problem: string) => never;

const TYPES: Readonly<Record<string, TarType>> = {
	'\0': 'file',
	'0': 'file',
	'1': 'link',
	'2': 'symlink',
	'3': 'chardev',
	'4': 'blockdev',
	'5': 'dir',
	'6': 'fifo',
	'7': 'file',
};

const ZEROS = Buffer.alloc(BLOCK);
const NONE = Buffer.alloc(0);
const SLASH = 0x2f;
const USTAR = [...Buffer.from('ustar')];

/** Whether the block at `at` is all zeros: the first such block ends an archive, whatever follows. */
export function isZeroBlock(bytes: Buffer, at: number): boolean {
	return bytes[at] === 0 && ZEROS.compare(bytes, at, at + BLOCK) === 0;
}

/**
 * @param bytes 512 of them from `at`, which may be overwritten afterwards
 * @returns the header, and the type as the one character that stands there (extended headers have one of their own)
 */
export function parseHeader(bytes: Buffer, at: number, fail: Fail): { header: TarHeader; flag: string } {
	checkSum(bytes, at, fail);
	const flag = String.fromCharCode(bytes[at + 156] as number);
	const ustar = isUstar(bytes, at + 257);
	// The GNU dialect has blanks after the magic, and other things than a prefix at its place.
	const prefixed = ustar && bytes[at + 262] === 0 && bytes[at + 345] !== 0;
	const name = text(bytes, at, 100);
	const type = typeOf(flag, name);
	const device = type === 'chardev' || type === 'blockdev';
	const header: TarHeader = {
		name: prefixed ? Buffer.concat([text(bytes, at + 345, 155), Buffer.from('/'), name]) : name,
		type,
		mode: natural(bytes, at + 100, 8, fail) & 0o7777,
		uid: natural(bytes, at + 108, 8, fail),
		gid: natural(bytes, at + 116, 8, fail),
		uname: ustar ? text(bytes, at + 265, 32) : NONE,
		gname: ustar ? text(bytes, at + 297, 32) : NONE,
		mtime: number(bytes, at + 136, 12, fail),
		size: natural(bytes, at + 124, 12, fail),
		linkname: type === 'symlink' || type === 'link' ? text(bytes, at + 157, 100) : null,
		devMajor: device ? natural(bytes, at + 329, 8, fail) : 0,
		devMinor: device ? natural(bytes, at + 337, 8, fail) : 0,
		mtimeNs: null,
		xattrs: null,
		hardLink: null,
		allocated: null,
	};
	return { header, flag };
}

function isUstar(bytes: Buffer, at: number): boolean {
	return USTAR.every((byte, i) => bytes[at + i] === byte);
}

function typeOf(flag: string, name: Buffer): TarType {
	// Before there was a type for directories, a slash told them from files.
	if (flag === '\0' && name.at(-1) === SLASH) return 'dir';
	return TYPES[flag] ?? 'other';
}

/** Some old writers added the bytes up as signed numbers; both sums are good. */
function checkSum(bytes: Buffer, at: number, fail: Fail): void {
	let sum = 8 * 0x20;
	for (let i = at; i < at + 148; i++) sum += bytes[i] as number;
	for (let i = at + 156; i < at + BLOCK; i++) sum += bytes[i] as number;
	const recorded = natural(bytes, at + 148, 8, fail);
	if (recorded !== sum && recorded !== sum - 256 * highBytes(bytes, at)) {
		fail('the checksum of a header is wrong');
	}
}

/** How many bytes outside of the checksum would be negative. */
function highBytes(bytes: Buffer, at: number): number {
	const isHigh = (byte: number) => byte > 0x7f;
	const header = bytes.subarray(at, at + BLOCK);
	return header.filter(isHigh).length - header.subarray(148, 156).filter(isHigh).length;
}

/** A copy of the field up to its NUL. */
function text(bytes: Buffer, offset: number, length: number): Buffer {
	let end = offset;
	while (end < offset + length && bytes[end] !== 0) end += 1;
	if (end === offset) return NONE;
	const copy = Buffer.allocUnsafe(end - offset);
	bytes.copy(copy, 0, offset, end);
	return copy;
}

function natural(bytes: Buffer, offset: number, length: number, fail: Fail): number {
	const value = number(bytes, offset, length, fail);
	return value < 0 ? fail(`a header has the negative number ${value}`) : value;
}

/** Octal digits, or GNU's base 256: a first byte of 0x80, or 0xff for a negative number, then two's complement. */
function number(bytes: Buffer, offset: number, length: number, fail: Fail): number {
	const first = bytes[offset] as number;
	const end = offset + length;
	let value = 0;
	if (first === 0x80 || first === 0xff) {
		const flip = first === 0xff ? 0xff : 0;
		for (let i = offset + 1; i < end; i++) value = value * 256 + ((bytes[i] as number) ^ flip);
		if (flip) value = -1 - value;
	} else {
		let i = offset;
		while (i < end && bytes[i] === 0x20) i += 1;
		for (; i < end && bytes[i] !== 0 && bytes[i] !== 0x20; i++) {
			const digit = (bytes[i] as number) - 0x30;
			if (digit < 0 || digit > 7) fail('a header has a number that is none');
			value = value * 8 + digit;
		}
	}
	return Number.isSafeInteger(value) ? value : fail('a header has a number that is too large');
}
