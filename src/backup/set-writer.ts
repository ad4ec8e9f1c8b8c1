/**
 * Writes one backup set in the order that makes a crash harmless: volumes, then signatures, then the manifest, which is
 * the commit, then the segment. Before the manifest nothing that exists is changed; after it, all it names is durable.
 */
import { hostname } from 'node:os';
import { formatManifest, type ManifestFile } from '../collection/manifest.js';
import { manifestName, type SetName, segmentName, sigtarName } from '../collection/names.js';
import { LockError } from '../errors.js';
import { volumeId } from '../index/extents.js';
import { formatLine } from '../index/segment.js';
import type { ObjectKey } from '../index/set-import.js';
import { StampWriter, stampsName } from '../index/stamps.js';
import type { Encryptor } from '../openpgp/encryptor.js';
import type { SourceMetadata } from '../source/source.js';
import type { ObjectWriter, Target } from '../target/target.js';
import { VolumeWriter } from '../volume/writer.js';
import type { Checkpoints, Kept } from './checkpoints.js';
import { Difftar, protection } from './difftar.js';
import type { StoredContent } from './file.js';
import { type Recorded, Records } from './records.js';

/**
 * Files that a manifest lists at most; one of a set with more has no list, as those of old versions of duplicity, which only shows it
 * (`collection-status --file-changed`). It bounds the memory, here and wherever the manifest is read: about 30 MB.
 */
const MOST_LISTED = 100_000;

const NOTHING: StoredContent = { extents: [], delta: null };

export interface SetOptions {
	target: Target;
	/** Where the segment waits until the manifest is on the target. */
	pending: Target;
	encryptor: Encryptor | null;
	set: SetName;
	/** Time of the chain's full set, s. */
	chain: number;
	/** Absolute, without a slash at its end; for the manifest. */
	source: Buffer;
	/** Bytes. */
	volumeSize: number;
	/** What lets the run be gone on with. */
	checkpoints: Checkpoints;
	/** What there is already of the run that this one goes on with; its records are added again. */
	kept: Kept | null;
}

export class SetWriter {
	readonly difftar: Difftar;
	readonly #options: SetOptions;
	readonly #objects: ObjectWriter[] = [];
	readonly #sigtar: VolumeWriter;
	readonly #sigtarObject: ObjectWriter;
	readonly #segment: VolumeWriter;
	readonly #segmentObject: ObjectWriter;
	readonly #records: Records;
	#mayHaveSigtar = false;
	/** null: too many to be listed. */
	#files: ManifestFile[] | null = [];

	constructor(options: SetOptions) {
		this.#options = options;
		const { target, pending, encryptor, set, chain } = options;
		this.difftar = new Difftar(options);
		const sigtar = sigtarName(set, protection(encryptor));
		this.#sigtarObject = this.#create(target, sigtar);
		this.#sigtar = new VolumeWriter(this.#sigtarObject, sigtar, encryptor);
		const segment = segmentName(set, protection(encryptor));
		this.#segmentObject = this.#create(pending, segment);
		this.#segment = new VolumeWriter(this.#segmentObject, segment, encryptor);
		const stamps = new StampWriter(this.#create(pending, stampsName(set.time)));
		this.#records = new Records(set.time, this.#sigtar, this.#segment, stamps, options.checkpoints);
		this.#records.begin({ ...set, chain });
	}

	/** Records a path whose data, if any, is in the difftar. */
	record(recorded: Recorded): Promise<void> {
		const { change: type, path } = recorded;
		if (type && this.#files && this.#files.push({ type, path }) > MOST_LISTED) this.#files = null;
		return this.#records.add(recorded);
	}

	/** An entry that has no data. */
	async addPlain(path: Buffer, metadata: SourceMetadata, previous: { type: string } | null): Promise<void> {
		await this.difftar.add('snapshot', path, metadata, Buffer.alloc(0));
		const change = previous?.type === 'file' ? 'deleted' : null;
		const effect = previous ? 'changed' : 'new';
		const { stamp } = metadata;
		await this.record({ path, metadata, content: NOTHING, signature: null, change, effect, stamp });
	}

	async addDeleted(path: Buffer, previous: { type: string } | null): Promise<void> {
		await this.difftar.add('deleted', path, null, Buffer.alloc(0));
		const change = previous?.type === 'file' ? 'deleted' : null;
		const nothing = { metadata: null, content: NOTHING, signature: null, stamp: null };
		await this.record({ path, ...nothing, change, effect: 'deleted' });
	}

	/**
	 * Puts everything but the manifest and the segment on the target; the segment is complete in the pending folder.
	 * @returns the segment's key; null when the set is not encrypted
	 */
	async complete(): Promise<ObjectKey | null> {
		const { set, pending } = this.#options;
		const entries = await this.#records.finish();
		await this.difftar.finish();
		const sigtar = await this.#sigtar.finish();
		await this.#commitSigtar();
		for (const stored of this.difftar.stored)
			await this.#segment.write(formatLine({ kind: 'volume', ...stored }));
		await this.#segment.write(formatLine({ kind: 'volume', id: volumeId(set.time, 0), volume: sigtar }));
		await this.#segment.write(formatLine({ kind: 'end', entries }));
		const segment = await this.#segment.finish();
		await this.#segmentObject.commit();
		if (!segment.key) return null;
		// The packets before the encrypted one, whose tag stands just before its body.
		return { header: await pending.read(segment.name, 0, segment.body - 1), key: segment.key };
	}

	/** The commit. @throws TargetError: whether the manifest is on the target is not known then; LockError: it is another run's */
	async commit(): Promise<void> {
		const { target, encryptor, set, source } = this.#options;
		const manifest = formatManifest({
			hostname: hostname().split('.')[0] ?? null,
			localdir: source.length === 0 ? Buffer.from('/') : source,
			volumes: this.difftar.volumes,
			files: this.#files,
		});
		const name = manifestName(set, protection(encryptor));
		const object = this.#create(target, name);
		if (encryptor) {
			const writer = new VolumeWriter(object, name, encryptor);
			await writer.write(manifest);
			await writer.finish();
		} else {
			await object.write(manifest);
		}
		await object.commit();
	}

	async #commitSigtar(): Promise<void> {
		this.#mayHaveSigtar = true;
		try {
			await this.#sigtarObject.commit();
		} catch (error) {
			if (error instanceof LockError) this.#mayHaveSigtar = false;
			throw error;
		}
	}

	/** Objects of this run that may be on the target before the manifest is; none that another run has written. */
	names(): string[] {
		const { set, encryptor } = this.#options;
		const volumes = this.difftar.stored.map(({ volume }) => volume.name);
		return this.#mayHaveSigtar ? [...volumes, sigtarName(set, protection(encryptor))] : volumes;
	}

	/** Leaves no half-written object behind. */
	async abort(): Promise<void> {
		await Promise.allSettled([this.difftar.abort(), ...this.#objects.map((object) => object.abort())]);
	}

	#create(target: Target, name: string): ObjectWriter {
		const object = target.create(name);
		this.#objects.push(object);
		return object;
	}
}
