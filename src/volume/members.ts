/**
 * What duplicity means by a member of a difftar or sigtar: its name begins with a kind, and ends in a number when it is a piece
 * of something longer. Pure; the input is not trusted.
 */
import { DamageError } from '../errors.js';
import type { Extras } from './extras.js';
import type { TarHeader } from './tar-header.js';

export interface MemberMetadata extends Extras {
	readonly type: 'file' | 'dir' | 'symlink' | 'fifo' | 'chardev' | 'blockdev';
	/** Permission bits, 0 to 0o7777. */
	readonly mode: number;
	readonly uid: number;
	readonly gid: number;
	/** Empty when not known. */
	readonly uname: Buffer;
	readonly gname: Buffer;
	/** Whole seconds since 1970. */
	readonly mtime: number;
	/** A symlink's target, never empty; null for the other types. */
	readonly link: Buffer | null;
	/** 0 unless it is a device. */
	readonly devMajor: number;
	readonly devMinor: number;
}

export interface Member {
	/**
	 * `snapshot`: the body is the content of a file (sigtar: there is none, and it is not a file). `diff`: the body is a delta.
	 * `signature`: the body is a file's signature. `deleted`: the path is gone, the metadata mean nothing; very old
	 * sigtars may hold a deleted root by mistake.
	 */
	readonly kind: 'snapshot' | 'diff' | 'deleted' | 'signature';
	/** Components between slashes; empty for the root, which may be a file. */
	readonly path: Buffer;
	/** From 1, when the body is one piece of a content or delta that goes on in the next members; else null. */
	readonly piece: number | null;
	/** Bytes of the body. */
	readonly size: number;
	readonly metadata: MemberMetadata;
}

interface Kind {
	readonly kind: Member['kind'];
	readonly pieces: boolean;
}

const KINDS: ReadonlyMap<string, Kind> = new Map([
	['snapshot', { kind: 'snapshot', pieces: false }],
	['multivol_snapshot', { kind: 'snapshot', pieces: true }],
	['diff', { kind: 'diff', pieces: false }],
	['multivol_diff', { kind: 'diff', pieces: true }],
	['deleted', { kind: 'deleted', pieces: false }],
	['signature', { kind: 'signature', pieces: false }],
]);

const SLASH = 0x2f;
const DOT = 0x2e;

/** @throws DamageError when this member is none of duplicity's; the others of its tar may be good */
export function parseMember(header: TarHeader): Member {
	const { name } = header;
	const slash = name.indexOf(SLASH);
	const first = name.toString('latin1', 0, slash < 0 ? name.length : slash);
	const found = KINDS.get(first) ?? refuse(header, 'begins with no kind of entry');
	const rest = slash < 0 ? Buffer.alloc(0) : withoutSlashes(name.subarray(slash + 1));
	const cut = found.pieces ? rest.lastIndexOf(SLASH) : rest.length;
	const path = parsePath(header, rest.subarray(0, Math.max(cut, 0)));
	const piece = found.pieces ? parsePiece(header, rest.subarray(cut + 1)) : null;
	const metadata = parseMetadata(header);
	const isFile = metadata.type === 'file';
	if (!isFile && (found.pieces || found.kind === 'diff' || found.kind === 'signature')) {
		refuse(header, `is a ${metadata.type}, which has no content`);
	}
	return { kind: found.kind, path, piece, size: header.size, metadata };
}

function withoutSlashes(name: Buffer): Buffer {
	let end = name.length;
	while (end > 0 && name[end - 1] === SLASH) end -= 1;
	return name.subarray(0, end);
}

function parsePath(header: TarHeader, path: Buffer): Buffer {
	if (path.length === 0) return path;
	if (path.length === 1 && path[0] === DOT) return path.subarray(1);
	if (!isPossible(path)) refuse(header, 'is no path below the source');
	return path;
}

/** False when a component is empty or goes elsewhere, or there is a byte that no path has. */
function isPossible(path: Buffer): boolean {
	let start = 0;
	let dots = 0;
	for (let i = 0; i < path.length; i++) {
		const byte = path[i];
		if (byte === 0) return false;
		if (byte === DOT) dots += 1;
		else if (byte === SLASH) {
			if (i - start === dots && dots <= 2) return false;
			start = i + 1;
			dots = 0;
		}
	}
	return path.length - start !== dots || dots > 2;
}

function parsePiece(header: TarHeader, digits: Buffer): number {
	const text = digits.toString('latin1');
	return /^[1-9][0-9]{0,14}$/.test(text) ? Number(text) : refuse(header, 'lacks the number of its piece');
}

function parseMetadata(header: TarHeader): MemberMetadata {
	const { type, mode, uid, gid, uname, gname, mtime, linkname, devMajor, devMinor } = header;
	const { mtimeNs, xattrs, hardLink, allocated } = header;
	if (type === 'link' || type === 'other') return refuse(header, 'is of a type that duplicity never writes');
	if (linkname && (linkname.length === 0 || linkname.includes(0))) {
		return refuse(header, 'is a symlink without a possible target');
	}
	const extras = { mtimeNs, xattrs, hardLink, allocated };
	return { type, mode, uid, gid, uname, gname, mtime, link: linkname, devMajor, devMinor, ...extras };
}

function refuse(header: TarHeader, problem: string): never {
	throw new DamageError(`A stored entry named ${JSON.stringify(header.name.toString())} ${problem}`);
}
