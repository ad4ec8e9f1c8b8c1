/**
 * The order of paths in everything duplicity writes: path components are compared one by one as bytes, and a
 * directory comes before what is in it. So `dir` < `dir/a` < `dir-a` < `dir.a`, although `-` and `.` are lower
 * bytes than `/`. Stock merges streams in this order and silently loses entries that are not in it.
 */

const slash = 0x2f;

/**
 * Compares two relative paths without leading or trailing slash; the empty path is the root.
 * @returns negative, 0 or positive, as for Array.prototype.sort
 */
export function compareTuple(a: Buffer, b: Buffer): number {
	const length = Math.min(a.length, b.length);
	for (let i = 0; i < length; i++) {
		const x = a[i] as number;
		const y = b[i] as number;
		if (x === y) continue;
		if (x === slash) return -1;
		if (y === slash) return 1;
		return x - y;
	}
	return a.length - b.length;
}
