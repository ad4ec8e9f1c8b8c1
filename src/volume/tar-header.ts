/**
 * One header block of a tar archive, of any dialect that Python has written for duplicity: old V7, ustar, GNU. The tar reader
 * calls this for each entry and applies what extended headers say to it. Pure; the input is not trusted.
 */

/** Bytes of a block. */
export const BLOCK = 512;

/** `link` is a hard link; `other` is anything that is not listed. Neither is ever written by duplicity. */
export type TarType = 'file' | 'dir' | 'symlink' | 'fifo' | 'chardev' | 'blockdev' | 'link' | 'other';

export interface TarHeader {
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

/** The first such block ends an archive, whatever follows. */
export function isZeroBlock(block: Buffer): boolean {
	return block[0] === 0 && block.equals(ZEROS);
}

/**
 * @param block 512 bytes, which may be overwritten afterwards
 * @returns the header, and the type as the one character that stands there (extended headers have one of their own)
 */
export function parseHeader(block: Buffer, fail: Fail): { header: TarHeader; flag: string } {
	checkSum(block, fail);
	const flag = String.fromCharCode(block[156] as number);
	const ustar = block.toString('latin1', 257, 262) === 'ustar';
	// The GNU dialect has blanks after the magic, and other things than a prefix at its place.
	const prefixed = ustar && block[262] === 0 && block[345] !== 0;
	const name = text(block, 0, 100);
	const type = typeOf(flag, name);
	const device = type === 'chardev' || type === 'blockdev';
	const header: TarHeader = {
		name: prefixed ? Buffer.concat([text(block, 345, 155), Buffer.from('/'), name]) : name,
		type,
		mode: natural(block, 100, 8, fail) & 0o7777,
		uid: natural(block, 108, 8, fail),
		gid: natural(block, 116, 8, fail),
		uname: ustar ? text(block, 265, 32) : NONE,
		gname: ustar ? text(block, 297, 32) : NONE,
		mtime: number(block, 136, 12, fail),
		size: natural(block, 124, 12, fail),
		linkname: type === 'symlink' || type === 'link' ? text(block, 157, 100) : null,
		devMajor: device ? natural(block, 329, 8, fail) : 0,
		devMinor: device ? natural(block, 337, 8, fail) : 0,
	};
	return { header, flag };
}

function typeOf(flag: string, name: Buffer): TarType {
	// Before there was a type for directories, a slash told them from files.
	if (flag === '\0' && name.at(-1) === SLASH) return 'dir';
	return TYPES[flag] ?? 'other';
}

/** Some old writers added the bytes up as signed numbers; both sums are good. */
function checkSum(block: Buffer, fail: Fail): void {
	let sum = 8 * 0x20;
	let high = 0;
	for (let i = 0; i < BLOCK; i++) {
		if (i === 148) i = 156;
		const byte = block[i] as number;
		sum += byte;
		high += byte >> 7;
	}
	const recorded = natural(block, 148, 8, fail);
	if (recorded !== sum && recorded !== sum - 256 * high) fail('the checksum of a header is wrong');
}

/** A copy of the field up to its NUL. */
function text(block: Buffer, offset: number, length: number): Buffer {
	let end = offset;
	while (end < offset + length && block[end] !== 0) end += 1;
	return end === offset ? NONE : Buffer.from(block.subarray(offset, end));
}

function natural(block: Buffer, offset: number, length: number, fail: Fail): number {
	const value = number(block, offset, length, fail);
	return value < 0 ? fail(`a header has the negative number ${value}`) : value;
}

/** Octal digits, or GNU's base 256: a first byte of 0x80, or 0xff for a negative number, then two's complement. */
function number(block: Buffer, offset: number, length: number, fail: Fail): number {
	const first = block[offset] as number;
	const end = offset + length;
	let value = 0;
	if (first === 0x80 || first === 0xff) {
		const flip = first === 0xff ? 0xff : 0;
		for (let i = offset + 1; i < end; i++) value = value * 256 + ((block[i] as number) ^ flip);
		if (flip) value = -1 - value;
	} else {
		let i = offset;
		while (i < end && block[i] === 0x20) i += 1;
		for (; i < end && block[i] !== 0 && block[i] !== 0x20; i++) {
			const digit = (block[i] as number) - 0x30;
			if (digit < 0 || digit > 7) fail('a header has a number that is none');
			value = value * 8 + digit;
		}
	}
	return Number.isSafeInteger(value) ? value : fail('a header has a number that is too large');
}
