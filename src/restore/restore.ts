/**
 * Writes an entry of a snapshot, with everything below it, into the file system. Nothing that exists is overwritten; what
 * cannot be restored is reported and the rest goes on. Contents come first, then a directory's own metadata.
 */
import {
	closeSync,
	linkSync,
	lstatSync,
	mkdirSync,
	openSync,
	readdirSync,
	unlinkSync,
	writeSync,
} from 'node:fs';
import { DamageError, TsdupError, UsageError } from '../errors.js';
import type { Entry, SnapshotSet } from '../index/entry.js';
import type { Snapshots } from '../snapshots/snapshots.js';
import { applyMetadata, makeSpecial } from './metadata.js';
import { endSparsely, writeSparsely } from './sparse.js';

/** Bytes read at once: a few frames. */
const CHUNK = 4 * 2 ** 20;

/** Exit code "done with warnings". */
const METADATA_LOST = 3;

export interface RestoreReport {
	entries: number;
	bytes: number;
	/** Paths that could not be restored as they were, and why. */
	problems: { path: Buffer; reason: string }[];
	/** Exit code of the gravest problem; 0 when there is none. */
	exit: number;
}

/**
 * @param destination what the entry becomes: must be absent, or an empty directory when the entry is one
 * @throws UsageError when it is something else
 */
export async function restore(
	snapshots: Snapshots,
	set: SnapshotSet,
	entry: Entry,
	destination: Buffer,
): Promise<RestoreReport> {
	refuseToOverwrite(destination, entry);
	const report: RestoreReport = { entries: 0, bytes: 0, problems: [], exit: 0 };
	await restoreEntry({ snapshots, set, report, links: new Map() }, entry, destination);
	return report;
}

interface Job {
	snapshots: Snapshots;
	set: SnapshotSet;
	report: RestoreReport;
	/** By the node that stands for a file with several names: its first one here, and how many are still to come. */
	links: Map<number, { path: Buffer; left: number }>;
}

async function restoreEntry(job: Job, entry: Entry, path: Buffer): Promise<void> {
	try {
		if (entry.hardLink !== null && linked(job, entry, path)) return;
		if (entry.type === 'dir') await restoreDirectory(job, entry, path);
		else if (entry.type === 'file') await restoreFile(job, entry, path);
		else makeSpecial(path, entry);
		job.report.entries++;
		for (const reason of applyMetadata(path, entry)) complain(job.report, path, reason, METADATA_LOST);
	} catch (error) {
		const reason = error instanceof Error ? error.message : String(error);
		complain(job.report, path, reason, error instanceof TsdupError ? error.exit : new TsdupError('').exit);
	}
}

/**
 * Makes a further name of a file that is restored already. Its metadata are there, too.
 * @returns false when this is its first name, or the system refuses: then it becomes a file of its own
 */
function linked({ snapshots, set, report, links }: Job, entry: Entry, path: Buffer): boolean {
	const { names, first } = snapshots.names(set, entry);
	if (names === 1) return false;
	const before = links.get(first);
	if (!before) {
		links.set(first, { path, left: names - 1 });
		return false;
	}
	before.left--;
	if (before.left === 0) links.delete(first);
	try {
		linkSync(before.path, path);
	} catch (error) {
		// The first name could not be restored; or a file system without hard links, or with a limit.
		if ((error as NodeJS.ErrnoException).code !== 'ENOENT') {
			complain(report, path, `is a file of its own: ${(error as Error).message}`, METADATA_LOST);
		}
		return false;
	}
	report.entries++;
	return true;
}

function complain(report: RestoreReport, path: Buffer, reason: string, exit: number): void {
	report.problems.push({ path, reason });
	// Done with warnings is the mildest, whatever its number.
	if (report.exit === 0 || report.exit === METADATA_LOST) report.exit = exit;
	else if (exit !== METADATA_LOST) report.exit = Math.max(report.exit, exit);
}

async function restoreDirectory(job: Job, entry: Entry, path: Buffer): Promise<void> {
	mkdirSync(path, { recursive: true, mode: 0o700 });
	for (const child of job.snapshots.list(job.set, entry.node)) {
		await restoreEntry(job, child, Buffer.concat([path, Buffer.from('/'), child.name]));
	}
}

async function restoreFile(job: Job, entry: Entry, path: Buffer): Promise<void> {
	const reader = await job.snapshots.open(job.set, entry);
	const fd = openSync(path, 'wx', 0o600);
	try {
		for (let offset = 0; offset < reader.size; ) {
			const bytes = await reader.read(offset, CHUNK);
			if (bytes.length === 0) throw new DamageError('The backup holds less of this file than it should.');
			if (entry.allocated === null) writeFully(fd, bytes);
			else writeSparsely(fd, bytes, offset);
			offset += bytes.length;
			job.report.bytes += bytes.length;
		}
		if (entry.allocated !== null) endSparsely(fd, reader.size);
	} catch (error) {
		// What came back is no whole file, and must not look like one.
		unlinkSync(path);
		throw error;
	} finally {
		closeSync(fd);
	}
}

function writeFully(fd: number, bytes: Buffer): void {
	for (let done = 0; done < bytes.length; ) done += writeSync(fd, bytes, done);
}

function refuseToOverwrite(destination: Buffer, entry: Entry): void {
	const stat = lstatSync(destination, { throwIfNoEntry: false });
	if (!stat) return;
	const empty = stat.isDirectory() && readdirSync(destination).length === 0;
	if (entry.type === 'dir' && empty) return;
	throw new UsageError(`${destination} exists: restore into an absent path or an empty folder.`);
}
