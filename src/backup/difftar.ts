/**
 * The stream of tar entries of one set, cut into volumes. Entries come in tuple order; a volume is closed, and goes to the
 * target in the background, when it has reached its size. `finish` resolves when all of them are durable there.
 */
import type { ManifestPath, ManifestVolume } from '../collection/manifest.js';
import { type NameProtection, type SetName, volumeName } from '../collection/names.js';
import { hashOf } from '../crypto/crypto.js';
import type { Metadata } from '../index/entry.js';
import { type Extent, volumeId } from '../index/extents.js';
import type { Encryptor } from '../openpgp/encryptor.js';
import type { ObjectWriter, Target } from '../target/target.js';
import { extraRecords } from '../volume/extras.js';
import type { StoredVolume } from '../volume/frame.js';
import { endOfArchive, padding, type TarEntry, tarHeader } from '../volume/tar.js';
import { VolumeWriter } from '../volume/writer.js';
import type { Checkpoints, Kept } from './checkpoints.js';

/** Volumes that may be on their way to the target besides the one being written. */
const UPLOADS = 2;

export type DifftarKind = 'snapshot' | 'diff' | 'multivol_snapshot' | 'multivol_diff' | 'deleted';

interface OpenVolume {
	number: number;
	object: ObjectWriter;
	writer: VolumeWriter;
	start: ManifestPath;
	end: ManifestPath;
	/** Entries of the set that end in it or before it. */
	finished: number;
}

/** A piece of a file. */
export interface Piece {
	/** From 1. */
	readonly number: number;
	readonly last: boolean;
	/** Says which file it is of: see `stampOf`. */
	readonly stamp: string;
}

export interface DifftarOptions {
	target: Target;
	set: SetName;
	encryptor: Encryptor | null;
	/** Bytes. */
	volumeSize: number;
	checkpoints: Checkpoints;
	/** Volumes that are on the target already. */
	kept: Kept | null;
}

export class Difftar {
	/** Of the volumes that are on the target, in no particular order until `finish` resolved. */
	readonly volumes: ManifestVolume[] = [];
	readonly stored: { id: number; volume: StoredVolume }[] = [];
	readonly #options: DifftarOptions;
	readonly #uploads = new Set<Promise<void>>();
	readonly #objects = new Set<ObjectWriter>();
	#current: OpenVolume | null = null;
	#number: number;
	#finished: number;
	/** In `stored`. */
	#finishedBytes = 0;
	#failure: { error: unknown } | null = null;

	constructor(options: DifftarOptions) {
		this.#options = options;
		const { volumes = [], finished = 0 } = options.kept ?? {};
		this.#number = volumes.length;
		this.#finished = finished;
		this.volumes.push(...volumes.map(({ manifest }) => manifest));
		this.stored.push(...volumes.map(({ id, stored }) => ({ id, volume: stored })));
		for (const { stored } of volumes) this.#finishedBytes += stored.size;
	}

	/** Bytes that went, or are about to go, to the target. */
	get storedBytes(): number {
		return this.#finishedBytes + (this.#current?.writer.storedBytes ?? 0);
	}

	/**
	 * @param piece of a multivol entry
	 * @returns where the body lies
	 * @throws TargetError and what else an upload failed with, also for earlier volumes
	 */
	async add(
		kind: DifftarKind,
		path: Buffer,
		metadata: Metadata | null,
		body: Buffer,
		piece: Piece | null = null,
	): Promise<Extent> {
		const place = { path, block: piece && !piece.last ? piece.number : null };
		const volume = await this.#volume(place);
		volume.end = place;
		const name = entryName(kind, path, metadata, piece);
		const entry = tarEntry(name, metadata, body.length);
		// The first piece says it all.
		const header =
			piece && piece.number > 1 ? { ...entry, extras: [] } : { ...entry, ...nanoseconds(metadata) };
		// While it is written.
		const digest = piece && !piece.last ? digestOf(body) : null;
		digest?.catch(() => {});
		await volume.writer.write(tarHeader(header));
		const offset = volume.writer.tarLength;
		if (body.length > 0) {
			await volume.writer.write(body);
			await volume.writer.write(padding(body.length));
		}
		if (!piece || piece.last) volume.finished = ++this.#finished;
		const extent = { length: body.length, volume: volumeId(this.#options.set.time, volume.number), offset };
		if (piece && digest) {
			const { number, stamp } = piece;
			this.#options.checkpoints.piece({ path, number, stamp, extent, digest: await digest });
		}
		return extent;
	}

	/** A set has at least one volume, also when it holds nothing. */
	async finish(): Promise<void> {
		if (this.#number === 0) await this.#volume({ path: Buffer.alloc(0), block: null });
		await this.#close();
		await Promise.all(this.#uploads);
		if (this.#failure) throw this.#failure.error;
		this.volumes.sort((a, b) => a.number - b.number);
		this.stored.sort((a, b) => a.id - b.id);
	}

	/** Leaves no half-written object; volumes that are already on the target stay there. */
	async abort(): Promise<void> {
		await Promise.allSettled([...this.#objects].map((object) => object.abort()));
		await Promise.allSettled(this.#uploads);
	}

	async #volume(start: ManifestPath): Promise<OpenVolume> {
		if (this.#current && this.#current.writer.expectedBytes >= this.#options.volumeSize) await this.#close();
		if (this.#failure) throw this.#failure.error;
		if (!this.#current) {
			const { target, set, encryptor } = this.#options;
			const name = volumeName(set, ++this.#number, protection(encryptor));
			const object = target.create(name);
			this.#objects.add(object);
			const writer = new VolumeWriter(object, name, encryptor);
			const finished = this.#finished;
			this.#current = { number: this.#number, object, writer, start, end: start, finished };
		}
		return this.#current;
	}

	async #close(): Promise<void> {
		const volume = this.#current;
		this.#current = null;
		if (!volume) return;
		const upload = this.#upload(volume)
			.catch((error) => {
				this.#failure ??= { error };
			})
			.finally(() => this.#uploads.delete(upload));
		this.#uploads.add(upload);
		while (this.#uploads.size > UPLOADS) await Promise.race(this.#uploads);
	}

	async #upload({ number, object, writer, start, end, finished }: OpenVolume): Promise<void> {
		await writer.write(endOfArchive(writer.tarLength));
		const volume = await writer.finish();
		await object.commit();
		this.#objects.delete(object);
		const manifest = { number, start, end, sha1: volume.sha1 };
		const id = volumeId(this.#options.set.time, number);
		this.volumes.push(manifest);
		this.#finishedBytes += volume.size;
		this.stored.push({ id, volume });
		await this.#options.checkpoints.volume({ manifest, id, stored: volume, finished });
	}
}

/** Of a piece's bytes, to know it again. */
export async function digestOf(body: Buffer): Promise<string> {
	return (await hashOf('sha256', body)).toString('hex');
}

export function protection(encryptor: Encryptor | null): NameProtection {
	return encryptor ? 'gpg' : 'none';
}

const DOT = Buffer.from('./');
const NONE = Buffer.alloc(0);

function entryName(
	kind: DifftarKind,
	path: Buffer,
	metadata: Metadata | null,
	piece: { number: number } | null,
): Buffer {
	const name = path.length === 0 ? DOT : path;
	const tail = piece ? `/${piece.number}` : metadata?.type === 'dir' && path.length > 0 ? '/' : '';
	return Buffer.concat([Buffer.from(`${kind}/`), name, Buffer.from(tail)]);
}

/** Not in sigtars: stock compares their times with the source's, and the record would double the size of most entries. */
function nanoseconds(metadata: Metadata | null): { mtimeNs?: number } {
	return metadata?.mtimeNs ? { mtimeNs: metadata.mtimeNs } : {};
}

/** The header of an entry; of a deleted one (no metadata) everything is zero. */
export function tarEntry(name: Buffer, metadata: Metadata | null, size: number): TarEntry {
	if (!metadata) {
		return { name, type: 'file', size, mode: 0, uid: 0, gid: 0, uname: NONE, gname: NONE, mtime: 0 };
	}
	const { type, mode, uid, gid, uname, gname, mtime, link, devMajor, devMinor } = metadata;
	const extras = extraRecords(metadata);
	return {
		name,
		type,
		size,
		mode,
		uid,
		gid,
		uname,
		gname,
		mtime,
		devMajor,
		devMinor,
		...(link ? { linkname: link } : {}),
		...(extras.length > 0 ? { extras } : {}),
	};
}
