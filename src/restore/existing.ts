/**
 * What is at the destination already. A restore that was interrupted is gone on with: what it finished is known by its size and
 * time, which a file gets before its name. Nothing else is taken for restored, and nothing is overwritten unasked.
 */
import { lstatSync, readdirSync, readlinkSync, type Stats, unlinkSync } from 'node:fs';
import { UsageError } from '../errors.js';
import type { Entry, SnapshotSet } from '../index/entry.js';
import type { Snapshots } from '../snapshots/snapshots.js';
import { PART } from './part.js';

/**
 * Removes half-written files of an interrupted restore.
 * @throws UsageError naming the first path that a restore of this entry did not put there; nothing was changed of it then
 */
export async function refuseToOverwrite(
	snapshots: Snapshots,
	set: SnapshotSet,
	entry: Entry,
	path: Buffer,
): Promise<void> {
	const stat = lstatSync(path, { throwIfNoEntry: false });
	if (!stat) return;
	if (entry.type !== 'dir' || !stat.isDirectory()) {
		if (await isRestored(snapshots, set, entry, path, stat)) return;
		throw isThere(path);
	}
	const names = readdirSync(path, { encoding: 'buffer' }).sort(Buffer.compare);
	if (names.length === 0) return;
	const children = new Map(
		snapshots.list(set, entry.node).map((child) => [child.name.toString('latin1'), child]),
	);
	for (const name of names) {
		const below = Buffer.concat([path, SLASH, name]);
		const child = children.get(name.toString('latin1'));
		if (child) await refuseToOverwrite(snapshots, set, child, below);
		else if (name.toString('latin1').startsWith(PART)) unlinkSync(below);
		else throw isThere(below);
	}
}

/** Whether a path is what a restore makes of the entry, as far as size, time and type tell. */
export async function isRestored(
	snapshots: Snapshots,
	set: SnapshotSet,
	entry: Entry,
	path: Buffer,
	stat: Stats,
): Promise<boolean> {
	switch (entry.type) {
		case 'file': {
			const sameTime = Math.floor(stat.mtimeMs / 1000) === entry.mtime;
			return stat.isFile() && sameTime && stat.size === (await snapshots.size(set, entry));
		}
		case 'symlink':
			return stat.isSymbolicLink() && readlinkSync(path, { encoding: 'buffer' }).equals(entry.link ?? NONE);
		case 'fifo':
			return stat.isFIFO();
		case 'chardev':
			return stat.isCharacterDevice();
		case 'blockdev':
			return stat.isBlockDevice();
		case 'dir':
			return stat.isDirectory();
	}
}

function isThere(path: Buffer): UsageError {
	return new UsageError(
		`${path} is there already, and not as this snapshot has it: restore elsewhere, or overwrite it with --force. Nothing was restored.`,
	);
}

const SLASH = Buffer.from('/');
const NONE = Buffer.alloc(0);
