/**
 * Whether the path ranges of a manifest fit together. A manifest that is not encrypted has nothing that protects it,
 * and one wrong byte in a range could hide the volume in which a file goes on: the file would end too early.
 */
import type { ManifestVolume } from './manifest.js';
import { compareTuple } from './order.js';

/**
 * Ranges ascend and do not overlap, but for a file that goes on from one volume to the next; where one says so with the
 * number of its piece, the other must, too.
 */
export function rangesFit(volumes: readonly ManifestVolume[]): boolean {
	return [null, ...volumes].every((volume, i) => followsOn(volume, volumes[i] ?? null));
}

/** null: before the first volume, or after the last. */
function followsOn(volume: ManifestVolume | null, next: ManifestVolume | null): boolean {
	const goesOn = (volume?.end.block ?? null) !== null;
	const wentOn = (next?.start.block ?? 1) > 1;
	if (next && compareTuple(next.start.path, next.end.path) > 0) return false;
	if (!volume || !next) return !goesOn && !wentOn;
	const order = compareTuple(volume.end.path, next.start.path);
	// A file's last piece has no number: that the file began before can only be seen in the volume before.
	return goesOn ? order === 0 : order <= 0 && !wentOn;
}
