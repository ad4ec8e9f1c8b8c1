/**
 * Reads one object of the target whole, as one stream, and says what is wrong with it. What duplicity wrote is read into the
 * index on the way, as far as it is not there yet: it need not be fetched for that again.
 */
import type { SetObject } from '../collection/backup-set.js';
import { readBodies } from '../content/bodies.js';
import { indexVolume } from '../content/indexing.js';
import { readWhole } from '../content/stored-bytes.js';
import { DamageError } from '../errors.js';
import { volumeId } from '../index/extents.js';
import { type ForeignObject, foreignObject } from '../index/foreign.js';
import { loadManifest, openSigtar } from '../index/foreign-source.js';
import { readSegment } from '../index/import.js';
import type { Index } from '../index/index.js';
import { formOf, plainBytes } from '../index/plain.js';
import type { Opener } from '../openpgp/opener.js';
import type { Target } from '../target/target.js';
import { parseMember } from '../volume/members.js';
import { listTar } from '../volume/tar-reader.js';
import { checkFrames, type TarRun } from './frames.js';
import type { Item } from './items.js';

export interface CheckContext {
	readonly index: Index;
	readonly target: Target;
	readonly opener: Opener;
	/** SHA-1 (hex) that the manifests seen so far say of volumes, by their ids. */
	readonly listed: Map<number, string>;
}

/** Of a volume: the rest of it can be read. */
export class PartlyDamaged extends DamageError {
	readonly runs: readonly TarRun[];

	constructor(message: string, runs: readonly TarRun[]) {
		super(message);
		this.runs = runs;
	}
}

/** @throws DamageError, MissingObjectError, KeyError, UnsupportedError, TargetError; PartlyDamaged for a volume of tsdup's */
export async function check(item: Item, object: SetObject, context: CheckContext): Promise<void> {
	if (item.part === 'manifest') return checkManifest(item, object, context);
	if (item.part === 'segment') return checkSegment(item, object, context);
	const { index, target } = context;
	const id = volumeId(item.set.time, item.number);
	const volume = index.volume(id);
	if (volume?.kind === 'own') {
		const { sha1, damaged } = await checkFrames(volume, target.stream(object.name));
		if (sha1 === volume.sha1) {
			if (damaged.length === 0) return;
			throw new PartlyDamaged(
				`${object.name} is what its manifest says, but not what the index says: run \`tsdup index rebuild\``,
				damaged,
			);
		}
		throw new PartlyDamaged(inFrames(object.name, volume.frames.length, damaged), damaged);
	}
	if (item.part === 'sigtar') return checkSigtar(object, context);
	const known = foreignObject(index, id);
	if (known) return indexVolume(index, known, context);
	await readUnknown(id, item, object, context);
}

function inFrames(name: string, frames: number, damaged: readonly TarRun[]): string {
	if (damaged.length === 0) {
		return `${name} is damaged, though not where its content is: tsdup can read all of it, duplicity cannot`;
	}
	return `${name} is damaged in ${damaged.length} of its ${frames} frames`;
}

async function checkManifest({ set }: Item, object: SetObject, context: CheckContext): Promise<void> {
	const { index, listed } = context;
	const manifest = await loadManifest(object, context);
	for (const { number, sha1 } of manifest.volumes) {
		const id = volumeId(set.time, number);
		listed.set(id, sha1);
		const known = index.volume(id);
		if (known?.kind === 'own' && known.sha1 !== sha1) {
			throw new DamageError(`${object.name} has another digest of volume ${number} than the index.`);
		}
	}
	const own = index.db
		.prepare("SELECT count(*) FROM volumes WHERE set_time = ? AND kind = 'own' AND id <> ?")
		.pluck()
		.get(set.time, volumeId(set.time, 0)) as number;
	if (own > 0 && own !== manifest.volumes.length) {
		throw new DamageError(
			`${object.name} lists ${manifest.volumes.length} volumes, but the set has ${own}: duplicity misses the rest.`,
		);
	}
	// The list of files is read while it is iterated.
	for (const _ of manifest.files);
}

async function checkSegment({ set }: Item, object: SetObject, context: CheckContext): Promise<void> {
	const { index, target, opener } = context;
	const bytes = plainBytes(object.name, formOf(object), () => target.stream(object.name), opener);
	await readSegment(set.time, bytes, () => ({
		entry: () => {},
		deleted: () => {},
		volume: (id, { name, sha1 }) => {
			const known = index.volume(id);
			if (known?.kind === 'own' && known.sha1 !== sha1) {
				throw new DamageError(`${object.name} has another digest of ${name} than the index.`);
			}
		},
	}));
}

async function checkSigtar(object: SetObject, context: CheckContext): Promise<void> {
	for await (const entries of listTar(openSigtar(object, context), object.name)) {
		for (const { header } of entries) parseMember(header);
	}
}

/** A volume of a set that cannot be shown. */
async function readUnknown(
	id: number,
	{ set }: Item,
	object: SetObject,
	context: CheckContext,
): Promise<void> {
	const { name, size } = object;
	const sha1 = context.listed.get(id) ?? null;
	const foreign: ForeignObject = {
		id,
		setTime: set.time,
		name,
		size,
		form: formOf(object),
		sha1,
		indexed: true,
	};
	await readWhole(foreign, context, ({ tar }) => readBodies(tar, name));
}
