/** The mount command's second half: the process that holds the mount. */
import { type Access, openProfile, openUrl } from '../collection/access.js';
import { reportReady } from '../mount/background.js';
import type { DriverName, MountOptions } from '../mount/driver.js';
import { SnapshotFileSystem } from '../mount/filesystem.js';
import { DRIVERS, serve } from '../mount/serve.js';
import { type OpenCollection, openSnapshots } from '../snapshots/open.js';
import { localTime, missingWords, type Output } from './output.js';

/** Folders of profiles, or the URL of a collection without one. */
export type Collections = { dirs: readonly string[] } | { url: string };

export async function serveUntilUnmounted(
	mountpoint: string,
	from: Collections,
	{ driver, ...options }: Omit<MountOptions, 'fsname'> & { driver: DriverName },
	output: Output,
): Promise<void> {
	const accesses = await openAll(from);
	const open: { name: string; collection: OpenCollection }[] = [];
	for (const access of accesses) {
		for (const warning of access.warnings) output.note(warning);
		const collection = await openSnapshots(access, (message) => output.note(`${access.name}: ${message}`));
		for (const { set, reason } of collection.unusable) {
			output.warn(`${access.name}: the snapshot of ${localTime(set.time)} cannot be shown: ${reason}`);
		}
		if (collection.collection.chains.length === 0) output.note(`${access.name}: there are no backups yet.`);
		if (collection.missing.length > 0) output.warn(`${access.name}: ${missingWords(collection.missing)}`);
		open.push({ name: access.name, collection });
	}
	const fs = new SnapshotFileSystem(
		open.map(({ name, collection }) => ({ name, snapshots: collection.snapshots })),
		(message) => process.stderr.write(`${new Date().toISOString()} ${message}\n`),
	);
	const fsname = accesses.map(({ name }) => name).join(',');
	const mounted = await serve(mountpoint, fs, { ...options, fsname: `tsdup:${fsname}` }, DRIVERS[driver]);
	await reportReady();
	await mounted.unmounted;
	for (const { collection } of open) collection.close();
	process.exit(0);
}

async function openAll(from: Collections): Promise<Access[]> {
	if ('url' in from) return [await openUrl(from.url)];
	const accesses: Access[] = [];
	for (const dir of from.dirs) accesses.push(await openProfile(dir));
	return accesses;
}
