/**
 * Extended attributes: which a backup keeps, and the one form in which lists of them are handed on and stored in the index. For
 * each attribute, in bytewise order of names: length of the name (1 byte), name, length of the value (4 bytes, big-endian), value.
 * POSIX ACLs are among them, as the kernel has them (`system.posix_acl_access`, `system.posix_acl_default`).
 */
import { DamageError } from '../errors.js';

export interface Xattr {
	readonly name: Buffer;
	readonly value: Buffer;
}

/** Bytes; Linux has none that are longer. */
const LONGEST_NAME = 255;
const LONGEST_VALUE = 64 << 10;
/** Bytes of the encoded list: with it an extended tar header stays below the one mebibyte that tsdup reads of one. */
export const LONGEST_LIST = 512 << 10;

/**
 * The others are not the file's own (`security.selinux`, `security.ima`: this system's policy; `system.nfs4_acl` and the like: the
 * server's). `trusted.` is seen and set by root alone.
 */
export function isKept(name: Buffer): boolean {
	const text = name.toString('latin1');
	if (text.length > LONGEST_NAME || text.includes('\0')) return false;
	return /^(user|trusted)\../s.test(text) || EXACTLY.has(text);
}

const EXACTLY: ReadonlySet<string> = new Set([
	'security.capability',
	'system.posix_acl_access',
	'system.posix_acl_default',
]);

/** Whether an attribute may only be set by root: it gives powers, or says what programs of root's believe. */
export function needsRoot(name: Buffer): boolean {
	const text = name.toString('latin1');
	return text.startsWith('trusted.') || text.startsWith('security.');
}

export function isAcl(name: Buffer): boolean {
	return name.toString('latin1').startsWith('system.posix_acl_');
}

/**
 * @returns null for an empty list
 * @throws DamageError when one of them is none that a backup keeps, or there are too many bytes, or a name comes twice
 */
export function encodeXattrs(xattrs: readonly Xattr[]): Buffer | null {
	const parts: Buffer[] = [];
	let before: Buffer | null = null;
	for (const { name, value } of [...xattrs].sort((a, b) => Buffer.compare(a.name, b.name))) {
		if (!isKept(name) || value.length > LONGEST_VALUE || before?.equals(name)) {
			throw new DamageError(
				`A backup holds an extended attribute that no file can have: ${JSON.stringify(name.toString())}`,
			);
		}
		before = name;
		const length = Buffer.alloc(4);
		length.writeUInt32BE(value.length);
		parts.push(Buffer.of(name.length), name, length, value);
	}
	const list = Buffer.concat(parts);
	if (list.length > LONGEST_LIST) throw new DamageError('A backup holds too many extended attributes.');
	return list.length === 0 ? null : list;
}

/** @param list what `encodeXattrs` gave */
export function decodeXattrs(list: Buffer | null): Xattr[] {
	const xattrs: Xattr[] = [];
	for (let at = 0; list && at < list.length; ) {
		const start = at + 1 + (list[at] as number);
		const end = start + 4 + list.readUInt32BE(start);
		xattrs.push({ name: list.subarray(at + 1, start), value: list.subarray(start + 4, end) });
		at = end;
	}
	return xattrs;
}
