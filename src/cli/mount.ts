/** `tsdup mount`: the snapshots of one or more collections as folders. */
import { basename } from 'node:path';
import { type Command, Option } from 'commander';
import { UsageError } from '../errors.js';
import { reportError, runInBackground } from '../mount/background.js';
import { DRIVER_NAMES, type DriverName } from '../mount/driver.js';
import { prepareMountpoint } from '../mount/mountpoint.js';
import { parseMountOptions } from '../mount/options.js';
import { findProfile, listProfiles } from '../profile/find.js';
import { outputOf } from './output.js';

interface Options {
	profile: string[];
	target?: string;
	foreground?: boolean;
	o: string[];
	driver: DriverName;
	cacheSize?: number;
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
		.option('-o <options>', 'as for mount(8): allow_other, noexec, uid=, gid=, umask=, fsname=', collect, [])
		.addOption(
			new Option('--driver <driver>', 'the FUSE library to mount with')
				.choices(DRIVER_NAMES)
				.default(DRIVER_NAMES[0]),
		)
		.option(
			'--cache-size <size>',
			'what is kept on disk of each collection that was read, as 500M or 20G (default: 1G)',
			parseSize,
		)
		.action(run);
}

async function run(path: string, options: Options, command: Command): Promise<void> {
	const output = outputOf(command);
	try {
		const mountOptions = parseMountOptions(options.o);
		const mountpoint = await prepareMountpoint(path);
		// What is wrong with the choice of profile is said without starting anything.
		const dirs = await chooseProfiles(options);
		if (!options.foreground) {
			await runInBackground(process.argv[1] as string, [...process.argv.slice(2), '--foreground'], output);
			output.summary(`Mounted at ${mountpoint}. To unmount: tsdup umount ${path}`, { mountpoint });
			return;
		}
		// Only who serves needs all of it.
		const { serveUntilUnmounted } = await import('./mount-serve.js');
		const from = options.target === undefined ? { dirs } : { url: options.target };
		await serveUntilUnmounted(
			mountpoint,
			from,
			{ ...mountOptions, driver: options.driver, cacheSize: options.cacheSize },
			output,
		);
	} catch (error) {
		// In the background the parent prints it and takes its exit code.
		if (error instanceof Error && (await reportError(error))) process.exit(1);
		throw error;
	}
}

/** @returns bytes. @throws UsageError */
function parseSize(text: string): number {
	const [, number, unit] = /^(\d+(?:\.\d+)?)([MG])$/i.exec(text) ?? [];
	if (number === undefined)
		throw new UsageError(`--cache-size ${text}: write a number and M or G, as in 500M or 20G.`);
	return Number(number) * (unit?.toUpperCase() === 'M' ? 2 ** 20 : 2 ** 30);
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
