/**
 * Small files on their way from the walk to the store: they are read, and signed, in groups and ahead of their turn, on the
 * thread pool. What the walk found comes out in the order it went in; memory holds a few groups.
 */
import { type ReadFile, readFiles, roomFor, type Seen } from '../rsync/read.js';
import type { Change, FolderEnd, Found } from '../source/change.js';
import { READ_FLAGS, sourcePath } from '../source/source.js';
import { PIECE_LENGTH } from './pieces.js';

/** Bytes of contents in a group: enough for the cost of a job, 20 µs, not to count. */
const GROUP_LENGTH = 2 ** 20;
/** Entries in a group, which may be none that is read. */
const GROUP_ENTRIES = 1024;
/** Groups that are read while one is stored. */
const AHEAD = 3;

type Walked = Change | FolderEnd;
type Wanted = (change: Walked) => change is Found;

export interface Ready {
	readonly change: Walked;
	/** null: whoever stores it reads it. Its content is good until the next group is asked for. */
	readonly read: ReadFile | null;
}

/**
 * @param root as of the walk
 * @param isKept whether a change needs no reading, because its data is on the target
 * @throws what the walk throws
 */
export async function* readAhead(
	changes: Iterable<Walked>,
	root: Buffer,
	isKept: (change: Change) => boolean,
): AsyncGenerator<Ready[], void> {
	const isWanted: Wanted = (change): change is Found => isReadAhead(change) && !isKept(change);
	const groups = grouped(changes, isWanted);
	const free: Buffer[] = Array.from({ length: AHEAD + 1 }, () => Buffer.allocUnsafeSlow(GROUP_LENGTH));
	const started: { output: Buffer; ready: Promise<Ready[]> }[] = [];
	for (;;) {
		while (started.length < AHEAD) {
			const next = groups.next();
			if (next.done) break;
			const output = free.pop() as Buffer;
			const ready = readGroup(next.value, root, output, isWanted);
			// When it fails, that is met when its turn comes.
			ready.catch(() => {});
			started.push({ output, ready });
		}
		const first = started.shift();
		if (!first) return;
		yield await first.ready;
		free.push(first.output);
	}
}

function* grouped(changes: Iterable<Walked>, isWanted: Wanted): Generator<Walked[], void> {
	let group: Walked[] = [];
	let room = GROUP_LENGTH;
	for (const change of changes) {
		const size = isWanted(change) ? roomFor(change.metadata.size) : 0;
		if (size > room || group.length === GROUP_ENTRIES) {
			yield group;
			group = [];
			room = GROUP_LENGTH;
		}
		group.push(change);
		room -= size;
	}
	if (group.length > 0) yield group;
}

async function readGroup(
	group: readonly Walked[],
	root: Buffer,
	output: Buffer,
	isWanted: Wanted,
): Promise<Ready[]> {
	const files: Seen[] = [];
	for (const change of group) {
		if (!isWanted(change)) continue;
		const { size, mtime, mtimeNs, mode, uid, gid } = change.metadata;
		const path = sourcePath(root, change.path);
		files.push({ path, size, mtime, mtimeNs: mtimeNs ?? 0, mode, uid, gid });
	}
	const read = files.length > 0 ? await readFiles(files, output, READ_FLAGS) : [];
	let next = 0;
	return group.map((change) => ({ change, read: isWanted(change) ? (read[next++] ?? null) : null }));
}

/** Small files that are new, or may be. */
function isReadAhead(change: Walked): change is Found {
	if (change.kind !== 'stored' && change.kind !== 'touched') return false;
	return change.metadata.type === 'file' && change.metadata.size < PIECE_LENGTH;
}
