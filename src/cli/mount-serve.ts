/** The mount command's second half: the process that holds the mount. */
import { fileURLToPath } from 'node:url';
import { cacheDirectory } from '../cache-directory.js';
import { type Access, openProfile, openUrl, type ProfileAccess } from '../collection/access.js';
import type { Listener } from '../index/take-in.js';
import { reportProgress, reportReady } from '../mount/background.js';
import type { DriverName } from '../mount/driver.js';
import { SnapshotFileSystem } from '../mount/filesystem.js';
import { refuseToHide, type TsdupPlace } from '../mount/hidden.js';
import { Live } from '../mount/live.js';
import type { UserOptions } from '../mount/options.js';
import { DRIVERS, serve } from '../mount/serve.js';
import { tellReady } from '../mount/service-manager.js';
import { type OpenCollection, openSnapshots } from '../snapshots/open.js';
import { localTime, missingWords, type Output, takenWords } from './output.js';
import { type Source, updateIndex } from './update-index.js';

/** Milliseconds between two looks for new snapshots on the target. */
const LOOK_INTERVAL = 60_000;

/** Folders of profiles, or the URL of a collection without one. */
export type Collections = { dirs: readonly string[] } | { url: string };

export async function serveUntilUnmounted(
	mountpoint: string,
	from: Collections,
	{ driver, cacheSize, ...options }: UserOptions & { driver: DriverName; cacheSize: number | undefined },
	output: Output,
): Promise<void> {
	const open: { name: string; source: Source; collection: OpenCollection }[] = [];
	for (const source of sourcesOf(from)) {
		const access = 'target' in source ? await openUrl(source.target) : await openProfile(source.profile);
		for (const warning of access.warnings) output.note(warning);
		await refuseToHide(mountpoint, await placesOf(access));
		const listener: Listener = {
			note: (message) => output.note(`${access.name}: ${message}`),
			taken: (done, of) => {
				const words = `${takenWords(done, of)}  ${access.name}`;
				output.progress(() => words);
				reportProgress(words);
			},
		};
		const collection = await openSnapshots(access, listener, cacheSize);
		for (const { set, reason } of collection.unusable) {
			output.warn(`${access.name}: the snapshot of ${localTime(set.time)} cannot be shown: ${reason}`);
		}
		if (collection.collection.chains.length === 0) output.note(`${access.name}: there are no backups yet.`);
		if (collection.missing.length > 0) output.warn(`${access.name}: ${missingWords(collection.missing)}`);
		open.push({ name: access.name, source, collection });
	}
	const fs = new SnapshotFileSystem(
		open.map(({ name, collection }) => ({ name, snapshots: collection.snapshots })),
		{ log, looked: () => live.look(), namesStay: !DRIVERS[driver].givesNamesAgain },
	);
	const live = new Live(
		fs,
		open.map(({ name, source, collection }) => ({
			name,
			listing: () => collection.currentListing(),
			update: async () => {
				for (const line of await updateIndex(source)) log(`${name}: ${line}`);
			},
			reopened: () => collection.reopened(),
		})),
		open.map(({ collection }) => collection.listing),
		{ interval: LOOK_INTERVAL, log },
	);
	const fsname = options.fsname ?? `tsdup:${open.map(({ name }) => name).join(',')}`;
	const mounted = await serve(mountpoint, fs, { ...options, fsname }, DRIVERS[driver], () => live.now());
	live.attach(mounted);
	await reportReady();
	tellReady(`Mounted at ${mountpoint}.`, log);
	await mounted.unmounted;
	for (const { collection } of open) collection.close();
	process.exit(0);
}

async function placesOf(access: Access | ProfileAccess): Promise<TsdupPlace[]> {
	const { url } = access.target;
	const source = 'conf' in access ? access.conf.source : null;
	return [
		{ what: "tsdup's cache", path: await cacheDirectory(), whole: true },
		...(url.startsWith('file:')
			? [{ what: `the target of ${access.name}`, path: fileURLToPath(url), whole: true }]
			: []),
		// Below it a mount hides an empty directory at most, and backups do not go into it.
		...(source ? [{ what: `the source of ${access.name}`, path: source.toString(), whole: false }] : []),
	];
}

function sourcesOf(from: Collections): Source[] {
	return 'url' in from ? [{ target: from.url }] : from.dirs.map((profile) => ({ profile }));
}

function log(message: string): void {
	process.stderr.write(`${new Date().toISOString()} ${message}\n`);
}
