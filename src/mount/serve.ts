/**
 * A mount for as long as it lasts: records who holds it, and lets SIGINT and SIGTERM unmount. SIGHUP asks for what is new, unless it
 * says that the terminal is gone: then it unmounts, too. Called by the mount command, in the foreground or in the background process.
 */
import { isatty } from 'node:tty';
import { lowerOtherThreads } from '../posix/calls.js';
import { detach } from './detach.js';
import type { Driver, DriverName, FileSystem, Mounted, MountOptions } from './driver.js';
import { fuseNative } from './fuse-native.js';
import { fuse3 } from './fuse3.js';
import { forgetHolder, recordHolder } from './holder.js';

export const DRIVERS: Readonly<Record<DriverName, Driver>> = { fuse3, 'fuse-native': fuseNative };

const STDERR = 2;

/**
 * Mounts `fs` on `mountpoint`, which came through `prepareMountpoint`. When `unmounted` is fulfilled, close
 * what `fs` holds and end with `process.exit` (see `fuse-native.ts`).
 */
export async function serve(
	mountpoint: string,
	fs: FileSystem,
	options: MountOptions,
	driver: Driver,
	refresh: () => void = () => {},
): Promise<Mounted> {
	let isMounted = () => {};
	const begun = new Promise<void>((resolve) => {
		isMounted = resolve;
	});
	// Lazily, since a signal cannot be refused: whoever is inside may finish. A second signal ends at once. From before the mount
	// on: a signal in between would leave a dead one.
	const leave = () => {
		begun
			.then(() => detach(mountpoint, { lazy: true }))
			// The program that unmounts may have got the signal, too: systemd sends it to all of a service, unless told otherwise.
			.catch(() => detach(mountpoint, { lazy: true }))
			.catch((error: Error) => process.stderr.write(`${error.message}\n`));
	};
	for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, leave);
	const hadTerminal = isatty(STDERR);
	process.on('SIGHUP', () => {
		if (hadTerminal && !isatty(STDERR)) leave();
		else refresh();
	});

	// Each reader waits for the main thread.
	lowerOtherThreads();
	const mounted = await driver.mount(mountpoint, fs, options);
	isMounted();
	await recordHolder(mountpoint);
	return { ...mounted, unmounted: mounted.unmounted.then(() => forgetHolder(mountpoint)) };
}
