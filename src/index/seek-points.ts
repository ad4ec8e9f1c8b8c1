/** The seek points of what duplicity wrote: kept apart from the frames, because each is larger than all else that is known of one. */
import type { Frame } from '../volume/frame.js';
import type { SeekFrame, SeekPoint } from '../volume/seek-point.js';
import { volumeSetTime } from './extents.js';
import type { ForeignObject } from './foreign.js';
import type { Index } from './index.js';
import { addFrames, addVolume } from './set-import.js';

export interface ScannedVolume {
	/** Session key. */
	readonly key: Buffer;
	readonly tarLength: number;
	readonly frames: readonly SeekFrame[];
}

/** Makes a foreign object one that can be read from the middle. */
export function addScanned(
	index: Index,
	{ id, name, size, sha1 }: ForeignObject,
	scanned: ScannedVolume,
): void {
	const { key, tarLength, frames } = scanned;
	const volume = { name, size, sha1: sha1 ?? '', key, body: 0, tarLength, frames };
	addVolume(index, id, volumeSetTime(id), volume, 'foreign');
	index.db.prepare('DELETE FROM seek_points WHERE volume = ?').run(id);
	addPoints(index, id, frames);
}

/**
 * The same of a volume whose first `known` frames are there: it can be read as far as it was scanned.
 * @returns false when others are there, made by somebody else; then nothing is changed
 */
export function extendScanned(
	index: Index,
	object: ForeignObject,
	scanned: ScannedVolume,
	known: number,
): boolean {
	const { id } = object;
	const there = index.db.prepare('SELECT tar_length FROM volumes WHERE id = ?').pluck().get(id);
	if (there !== endOf(scanned.frames.slice(0, known))) return false;
	const tarLength = endOf(scanned.frames);
	const frames = scanned.frames.slice(known);
	if (known === 0) addScanned(index, object, { key: scanned.key, tarLength: tarLength ?? 0, frames });
	else {
		addFrames(index, id, frames);
		addPoints(index, id, frames);
		index.db.prepare('UPDATE volumes SET tar_length = ? WHERE id = ?').run(tarLength, id);
	}
	return true;
}

/** Bytes of tar in them; undefined: there are none. */
function endOf(frames: readonly SeekFrame[]): number | undefined {
	const last = frames.at(-1);
	return last && last.tarOffset + last.tarLength;
}

function addPoints({ db }: Index, id: number, frames: readonly SeekFrame[]): void {
	const add = db.prepare('INSERT INTO seek_points VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)');
	for (const { tarOffset, point } of frames) {
		const { outerLeft, cfbSkip, inflated, crc, inner, state } = point;
		add.run(id, tarOffset, outerLeft, cfbSkip, inflated, crc, inner.skip, inner.left, state);
	}
}

/** undefined when the index has none, or none any more. */
export function seekPoint({ db }: Index, volume: number, { tarOffset }: Frame): SeekPoint | undefined {
	const row = db
		.prepare(
			`SELECT outer_left AS outerLeft, cfb_skip AS cfbSkip, inflated, crc, inner_skip AS skip, inner_left AS left, state
			FROM seek_points WHERE volume = ? AND tar_offset = ?`,
		)
		.get(volume, tarOffset) as (Omit<SeekPoint, 'inner'> & SeekPoint['inner']) | undefined;
	if (!row) return undefined;
	const { skip, left, ...point } = row;
	return { ...point, inner: { skip, left } };
}
