/** The seek points of what duplicity wrote: kept apart from the frames, because each is larger than all else that is known of one. */
import type { Frame } from '../volume/frame.js';
import type { SeekFrame, SeekPoint } from '../volume/seek-point.js';
import { volumeSetTime } from './extents.js';
import type { ForeignObject } from './foreign.js';
import type { Index } from './index.js';
import { addVolume } from './set-import.js';

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
	const add = index.db.prepare('INSERT INTO seek_points VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)');
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
