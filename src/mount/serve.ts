/**
 * A mount for as long as it lasts: records who holds it, and lets SIGINT, SIGTERM and
 * SIGHUP unmount. Called by the mount command, in the foreground or in the background process.
 */
import { detach } from './detach.js';
import type { Driver, DriverName, FileSystem, Mounted, MountOptions } from './driver.js';
import { fuseNative } from './fuse-native.js';
import { fuse3 } from './fuse3.js';
import { forgetHolder, recordHolder } from './holder.js';

export const DRIVERS: Readonly<Record<DriverName, Driver>> = { fuse3, 'fuse-native': fuseNative };

/**
 * Mounts `fs` on `mountpoint`, which came through `prepareMountpoint`. When `unmounted` is fulfilled, close
 * what `fs` holds and end with `process.exit` (see `fuse-native.ts`).
 */
export async function serve(
	mountpoint: string,
	fs: FileSystem,
	options: MountOptions,
	driver: Driver,
): Promise<Mounted> {
	const mounted = await driver.mount(mountpoint, fs, options);
	await recordHolder(mountpoint);

	// Lazily, since a signal cannot be refused: whoever is inside may finish. A second signal ends at once.
	const leave = () => {
		detach(mountpoint, { lazy: true }).catch((error: Error) => process.stderr.write(`${error.message}\n`));
	};
	for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.once(signal, leave);

	return { ...mounted, unmounted: mounted.unmounted.then(() => forgetHolder(mountpoint)) };
}
