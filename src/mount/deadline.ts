/** A bound on how long a caller waits; used by drivers, since the kernel may give up on a mount that never answers. */

/**
 * The outcome of `work`, or an error after `ms` milliseconds. The work itself goes on; its late outcome is
 * the caller's to dispose of.
 */
export function withDeadline<T>(work: Promise<T>, ms: number): Promise<T> {
	return new Promise((resolve, reject) => {
		const timer = setTimeout(() => reject(new Error(`no answer within ${ms / 1000} s`)), ms);
		work.then(resolve, reject).finally(() => clearTimeout(timer));
	});
}
