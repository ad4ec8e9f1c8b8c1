/**
 * Gives a restored path the owner, mode and times that the backup recorded, as far as this user may.
 */
import { execFileSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { chmodSync, closeSync, constants, lchownSync, openSync, renameSync, symlinkSync } from 'node:fs';
import { dirname } from 'node:path';
import { TsdupError } from '../errors.js';
import type { Entry } from '../index/entry.js';
import { setTimes, setXattr } from '../posix/calls.js';
import { decodeXattrs, needsRoot } from '../volume/xattrs.js';

/** A symlink, fifo or device. @throws the system's error; devices need root */
export function makeSpecial(path: Buffer, entry: Entry): void {
	if (entry.type === 'symlink') {
		symlinkSync(entry.link ?? Buffer.alloc(0), path);
		return;
	}
	// Node has no mknod, and a program's arguments cannot carry every name: it is made in the folder, reached by
	// its descriptor, under a plain name, and then renamed.
	const folder = Buffer.from(dirname(path.toString('latin1')), 'latin1');
	const aside = `.tsdup-${randomBytes(6).toString('hex')}`;
	const kind = { fifo: 'p', chardev: 'c', blockdev: 'b' }[entry.type as 'fifo' | 'chardev' | 'blockdev'];
	const numbers = entry.type === 'fifo' ? [] : [String(entry.devMajor), String(entry.devMinor)];
	const fd = openSync(folder, constants.O_RDONLY | constants.O_DIRECTORY);
	try {
		const beside = `/proc/${process.pid}/fd/${fd}/${aside}`;
		execFileSync('mknod', ['-m', '600', beside, kind, ...numbers], { stdio: ['ignore', 'ignore', 'pipe'] });
	} catch (error) {
		throw new TsdupError(`a ${entry.type} could not be made (devices need root)`, { cause: error });
	} finally {
		closeSync(fd);
	}
	renameSync(Buffer.concat([folder, Buffer.from(`/${aside}`)]), path);
}

const IS_ROOT = process.getuid?.() === 0;

/** @returns what could not be set, in words */
export function applyMetadata(path: Buffer, entry: Entry): string[] {
	const problems: string[] = [];
	const attempt = (what: string, act: () => void) => {
		try {
			act();
		} catch (error) {
			problems.push(`${what} could not be set: ${(error as Error).message}`);
		}
	};
	if (IS_ROOT) {
		attempt('owner', () =>
			lchownSync(path, ownerId('passwd', entry.uname, entry.uid), ownerId('group', entry.gname, entry.gid)),
		);
	}
	if (entry.type === 'symlink') {
		setXattrs(path, entry, attempt);
	} else {
		// Before the mode, which may forbid to write them. Giving a file away has taken its capabilities, so after the owner.
		setXattrs(path, entry, attempt);
		attempt('mode', () => chmodSync(path, entry.mode));
	}
	attempt('time', () => setTimes(path, entry.mtime, entry.mtimeNs ?? 0));
	return problems;
}

function setXattrs(path: Buffer, entry: Entry, attempt: (what: string, act: () => void) => void): void {
	for (const { name, value } of decodeXattrs(entry.xattrs)) {
		if (!IS_ROOT && needsRoot(name)) continue;
		attempt(`the extended attribute ${name}`, () => setXattr(path, name, value));
	}
}

const ids = new Map<string, number>();

/** As duplicity does: the id that this system has for the name, else the recorded number. */
function ownerId(database: 'passwd' | 'group', name: Buffer, number: number): number {
	const key = `${database}/${name.toString('latin1')}/${number}`;
	let id = ids.get(key);
	if (id === undefined) {
		id = name.length > 0 ? (localId(database, name) ?? number) : number;
		ids.set(key, id);
	}
	return id;
}

function localId(database: 'passwd' | 'group', name: Buffer): number | undefined {
	try {
		const line = execFileSync('getent', [database, '--', name.toString()], {
			stdio: ['ignore', 'pipe', 'ignore'],
		});
		return Number(line.toString().split(':')[2]);
	} catch {
		return undefined;
	}
}
