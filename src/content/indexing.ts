/**
 * Learns the sizes of all files in foreign volumes ahead of time, so that no `stat` has to wait for a volume. Each volume is
 * read once, in order, as a stream; nothing but the index is stored.
 */
import { DamageError, MissingObjectError } from '../errors.js';
import { type ForeignObject, foreignVolumes, joinAllPieces } from '../index/foreign.js';
import type { Index } from '../index/index.js';
import { addScanned } from '../index/seek-points.js';
import { readBodies, recordBodies } from './bodies.js';
import { type ForeignReader, readWhole } from './stored-bytes.js';

export interface IndexingProgress {
	readonly volume: string;
	readonly done: number;
	readonly of: number;
}

/** @returns the volumes that could not be read, and why. @throws KeyError, TargetError */
export async function indexAll(
	index: Index,
	reader: ForeignReader,
	progress: (state: IndexingProgress) => void,
): Promise<string[]> {
	const volumes = index.sets().flatMap((set) => foreignVolumes(index, set.time));
	const waiting = volumes.filter((volume) => !volume.indexed);
	const failures: string[] = [];
	for (const [i, volume] of waiting.entries()) {
		progress({ volume: volume.name, done: i, of: waiting.length });
		try {
			await indexVolume(index, volume, reader);
		} catch (error) {
			if (!(error instanceof DamageError || error instanceof MissingObjectError)) throw error;
			failures.push(error.message);
		}
	}
	for (const set of index.sets()) joinAllPieces(index, set.time);
	return failures;
}

/** Reads a volume whole, and notes what is in it unless that is known. @throws DamageError, MissingObjectError, KeyError, TargetError */
export async function indexVolume(index: Index, volume: ForeignObject, reader: ForeignReader): Promise<void> {
	const { scan, bodies } = await readWhole(volume, reader, async ({ tar, scan }) => {
		return { scan, bodies: await readBodies(tar, volume.name) };
	});
	index.db
		.transaction(() => {
			if (volume.indexed) return;
			if (scan) addScanned(index, volume, scan);
			recordBodies(index, volume, bodies);
		})
		.immediate();
}
