/** `tsdup mount`: the snapshots of one or more collections as folders. */
import { basename } from 'node:path';
import { type Command, Option } from 'commander';
import { type Access, openProfile, openUrl } from '../collection/access.js';
import { UsageError } from '../errors.js';
import { reportError, reportReady, runInBackground } from '../mount/background.js';
import type { Driver } from '../mount/driver.js';
import { SnapshotFileSystem } from '../mount/filesystem.js';
import { prepareMountpoint } from '../mount/mountpoint.js';
import { parseMountOptions } from '../mount/options.js';
import { DRIVERS, serve } from '../mount/serve.js';
import { findProfile, listProfiles } from '../profile/find.js';
import { type OpenCollection, openSnapshots } from '../snapshots/open.js';
import { localTime, missingWords, type Output, outputOf } from './output.js';

interface Options {
	profile: string[];
	target?: string;
	foreground?: boolean;
	o: string[];
	driver: string;
}

const collect = (value: string, before: string[]) => [...before, value];

export function addMount(program: Command): void {
	program
		.command('mount <mountpoint>')
		.description('show every snapshot as a folder; returns when they can be listed')
		.option(
			'-p, --profile <profile>',
			'whose backups (several: each is a folder); default: the only profile',
			collect,
			[],
		)
		.option('--target <url>', 'a collection without a profile; its passphrase is in PASSPHRASE')
		.option('-f, --foreground', 'stay until it is unmounted')
		.option('-o <options>', 'as for mount(8): allow_other, uid=, gid=, umask=', collect, [])
		.addOption(
			new Option('--driver <driver>', 'the FUSE library to mount with')
				.choices(Object.keys(DRIVERS))
				.default('fuse3'),
		)
		.action(run);
}

async function run(path: string, options: Options, command: Command): Promise<void> {
	const output = outputOf(command);
	try {
		const mountOptions = parseMountOptions(options.o);
		const mountpoint = await prepareMountpoint(path);
		if (!options.foreground) {
			// What is wrong with the choice of profile is said without starting anything.
			await chooseProfiles(options);
			await runInBackground(process.argv[1] as string, [...process.argv.slice(2), '--foreground']);
			output.summary(`Mounted at ${mountpoint}. To unmount: tsdup umount ${path}`, { mountpoint });
			return;
		}
		await serveUntilUnmounted(mountpoint, options, mountOptions, output);
	} catch (error) {
		// In the background the parent prints it and takes its exit code.
		if (error instanceof Error && (await reportError(error))) process.exit(1);
		throw error;
	}
}

async function serveUntilUnmounted(
	mountpoint: string,
	options: Options,
	mountOptions: ReturnType<typeof parseMountOptions>,
	output: Output,
): Promise<void> {
	const accesses = await openAll(options);
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
	const driver = DRIVERS[options.driver] as Driver;
	const mounted = await serve(mountpoint, fs, { ...mountOptions, fsname: `tsdup:${fsname}` }, driver);
	await reportReady();
	await mounted.unmounted;
	for (const { collection } of open) collection.close();
	process.exit(0);
}

async function openAll(options: Options): Promise<Access[]> {
	if (options.target !== undefined) return [await openUrl(options.target)];
	const accesses: Access[] = [];
	for (const dir of await chooseProfiles(options)) accesses.push(await openProfile(dir));
	return accesses;
}

/** Folders of the profiles to mount; none with --target. */
async function chooseProfiles(options: Options): Promise<string[]> {
	if (options.target !== undefined) {
		if (options.profile.length > 0) throw new UsageError('Choose one of --profile and --target.');
		return [];
	}
	if (options.profile.length > 0) {
		const dirs = options.profile.map(findProfile);
		const names = new Set(dirs.map((dir) => basename(dir)));
		if (names.size < dirs.length)
			throw new UsageError('Two of the profiles have the same name: mount them apart.');
		return dirs;
	}
	const chosen = process.env.TSDUP_PROFILE;
	const profiles = listProfiles();
	if (profiles.length === 1 && profiles[0]) return [profiles[0].dir];
	if (chosen) return [findProfile(chosen)];
	if (profiles.length === 0)
		throw new UsageError('There is no profile: make one (tsdup create) or give --target URL.');
	throw new UsageError(`Which profile? Give one with -p: ${profiles.map(({ name }) => name).join(', ')}`);
}
