/** Writes an entry of a snapshot, with everything below it, as a tar archive. */
import { DamageError, MissingObjectError, type TsdupError } from '../errors.js';
import type { Entry, SnapshotSet } from '../index/entry.js';
import type { Snapshots } from '../snapshots/snapshots.js';
import { endOfArchive, padding, tarHeader } from '../volume/tar.js';

/** Bytes read at once: a few frames. Files up to this are read before their header is written. */
const CHUNK = 4 * 2 ** 20;

export interface ArchiveReport {
	entries: number;
	/** Of files. */
	bytes: number;
	/** Files that are not in it, and why. */
	problems: { path: Buffer; reason: string }[];
	/** Exit code of the gravest problem; 0 when there is none. */
	exit: number;
}

/**
 * @param name of the entry in the archive
 * @param write resolves when more may be written
 * @throws DamageError, TargetError in the middle of a large file: the archive is then cut off there
 */
export async function archive(
	snapshots: Snapshots,
	set: SnapshotSet,
	entry: Entry,
	name: Buffer,
	write: (bytes: Buffer) => Promise<void>,
): Promise<ArchiveReport> {
	const report: ArchiveReport = { entries: 0, bytes: 0, problems: [], exit: 0 };
	let length = 0;
	const put = async (bytes: Buffer) => {
		length += bytes.length;
		if (bytes.length > 0) await write(bytes);
	};
	const header = (entry: Entry, name: Buffer, size: number) =>
		tarHeader({
			...{ name, size, type: entry.type, mode: entry.mode, uid: entry.uid, gid: entry.gid },
			...{ uname: entry.uname, gname: entry.gname, mtime: entry.mtime },
			...{ devMajor: entry.devMajor, devMinor: entry.devMinor },
			...(entry.link ? { linkname: entry.link } : {}),
		});

	const putFile = async (entry: Entry, name: Buffer) => {
		const reader = await snapshots.open(set, entry);
		let bytes = await reader.read(0, CHUNK);
		await put(header(entry, name, reader.size));
		for (let offset = 0; ; bytes = await reader.read(offset, CHUNK)) {
			await put(bytes);
			offset += bytes.length;
			report.bytes += bytes.length;
			if (offset === reader.size) break;
			if (bytes.length === 0) throw new DamageError(`The backup holds less of ${name} than it should.`);
		}
		await put(padding(reader.size));
	};

	const visit = async (entry: Entry, name: Buffer): Promise<void> => {
		if (entry.type === 'file') {
			const before = length;
			try {
				await putFile(entry, name);
			} catch (error) {
				const isLoss = error instanceof DamageError || error instanceof MissingObjectError;
				if (!isLoss || length > before) throw error;
				report.problems.push({ path: name, reason: (error as TsdupError).message });
				report.exit = Math.max(report.exit, (error as TsdupError).exit);
				return;
			}
		} else await put(header(entry, entry.type === 'dir' ? Buffer.concat([name, SLASH]) : name, 0));
		report.entries++;
		if (entry.type !== 'dir') return;
		for (const child of snapshots.list(set, entry.node)) {
			await visit(child, Buffer.concat([name, SLASH, child.name]));
		}
	};
	await visit(entry, name);
	await put(endOfArchive(length));
	return report;
}

const SLASH = Buffer.from('/');
