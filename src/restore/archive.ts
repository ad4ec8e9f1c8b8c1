/**
 * Writes an entry of a snapshot, with everything below it, as a tar archive, with all that GNU tar can restore: nanoseconds,
 * extended attributes, hard links and holes.
 */
import { DamageError, MissingObjectError, type TsdupError } from '../errors.js';
import type { Entry, SnapshotSet } from '../index/entry.js';
import type { FileReader, Snapshots } from '../snapshots/snapshots.js';
import { extraRecords, type PaxRecord } from '../volume/extras.js';
import { type Place, sparseMap, sparseRecords } from '../volume/sparse-tar.js';
import { endOfArchive, padding, type TarEntry, tarHeader } from '../volume/tar.js';
import { dataPlaces } from './sparse.js';

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
	return new Archive(snapshots, set, write).run(entry, name);
}

class Archive {
	readonly #snapshots: Snapshots;
	readonly #set: SnapshotSet;
	readonly #write: (bytes: Buffer) => Promise<void>;
	readonly #report: ArchiveReport = { entries: 0, bytes: 0, problems: [], exit: 0 };
	/** By the node that stands for a file with several names: the first of them in the archive. */
	readonly #links = new Map<number, Buffer>();
	#length = 0;

	constructor(snapshots: Snapshots, set: SnapshotSet, write: (bytes: Buffer) => Promise<void>) {
		this.#snapshots = snapshots;
		this.#set = set;
		this.#write = write;
	}

	async run(entry: Entry, name: Buffer): Promise<ArchiveReport> {
		await this.#visit(entry, name);
		await this.#put(endOfArchive(this.#length));
		return this.#report;
	}

	async #visit(entry: Entry, name: Buffer): Promise<void> {
		if (!(await this.#add(entry, name))) return;
		this.#report.entries++;
		if (entry.type !== 'dir') return;
		for (const child of this.#snapshots.list(this.#set, entry.node)) {
			await this.#visit(child, Buffer.concat([name, SLASH, child.name]));
		}
	}

	/** @returns whether it is in the archive */
	async #add(entry: Entry, name: Buffer): Promise<boolean> {
		const { names, first } = this.#snapshots.names(this.#set, entry);
		const linkname = this.#links.get(first);
		if (linkname) {
			await this.#put(header(entry, name, 0, { type: 'link', linkname, extras: [] }));
			return true;
		}
		if (entry.type === 'dir') await this.#put(header(entry, Buffer.concat([name, SLASH]), 0));
		else if (entry.type !== 'file') await this.#put(header(entry, name, 0));
		else if (!(await this.#tryFile(entry, name))) return false;
		if (names > 1) this.#links.set(first, name);
		return true;
	}

	/** What is damaged is left out, unless a part of it is in the archive already. */
	async #tryFile(entry: Entry, name: Buffer): Promise<boolean> {
		const before = this.#length;
		try {
			const reader = await this.#snapshots.open(this.#set, entry);
			await (entry.allocated === null
				? this.#file(entry, name, reader)
				: this.#sparseFile(entry, name, reader));
			return true;
		} catch (error) {
			const isLoss = error instanceof DamageError || error instanceof MissingObjectError;
			if (!isLoss || this.#length > before) throw error;
			this.#report.problems.push({ path: name, reason: (error as TsdupError).message });
			this.#report.exit = Math.max(this.#report.exit, (error as TsdupError).exit);
			return false;
		}
	}

	async #file(entry: Entry, name: Buffer, reader: FileReader): Promise<void> {
		let isBegun = false;
		const begin = async () => {
			if (!isBegun) await this.#put(header(entry, name, reader.size));
			isBegun = true;
		};
		for await (const bytes of contentOf(reader, { offset: 0, length: reader.size }, name)) {
			await begin();
			await this.#put(bytes);
		}
		await begin();
		this.#report.bytes += reader.size;
		await this.#put(padding(reader.size));
	}

	/** Is read twice: where its holes are comes first in the archive. */
	async #sparseFile(entry: Entry, name: Buffer, reader: FileReader): Promise<void> {
		const { size } = reader;
		const places: Place[] = [];
		let offset = 0;
		for await (const bytes of contentOf(reader, { offset, length: size }, name)) {
			places.push(...dataPlaces(bytes, offset));
			offset += bytes.length;
		}
		const map = sparseMap(places, size);
		const stored = places.reduce((sum, { length }) => sum + length, 0);
		const { records, shown } = sparseRecords(name, size);
		await this.#put(header(entry, shown, map.length + stored, {}, records));
		await this.#put(map);
		for (const place of places) {
			for await (const bytes of contentOf(reader, place, name)) await this.#put(bytes);
		}
		this.#report.bytes += size;
		await this.#put(padding(stored));
	}

	async #put(bytes: Buffer): Promise<void> {
		this.#length += bytes.length;
		if (bytes.length > 0) await this.#write(bytes);
	}
}

async function* contentOf(
	reader: FileReader,
	{ offset, length }: Place,
	name: Buffer,
): AsyncGenerator<Buffer> {
	const end = offset + length;
	for (let at = offset; at < end; ) {
		const bytes = await reader.read(at, Math.min(CHUNK, end - at));
		if (bytes.length === 0) throw new DamageError(`The backup holds less of ${name} than it should.`);
		yield bytes;
		at += bytes.length;
	}
}

function header(
	entry: Entry,
	name: Buffer,
	size: number,
	others: Partial<TarEntry> = {},
	records: readonly PaxRecord[] = [],
): Buffer {
	const { type, mode, uid, gid, uname, gname, mtime, mtimeNs, devMajor, devMinor, link, xattrs } = entry;
	return tarHeader({
		...{ name, size, type, mode, uid, gid, uname, gname, mtime, devMajor, devMinor },
		...(mtimeNs === null ? {} : { mtimeNs }),
		...(link ? { linkname: link } : {}),
		extras: [...records, ...extraRecords({ xattrs, hardLink: null, allocated: null })],
		...others,
	});
}

const SLASH = Buffer.from('/');
