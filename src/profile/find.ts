/**
 * Where profiles are. A profile is a folder in duply's layout; it is known by the folder's name.
 */
import { readdirSync, statSync } from 'node:fs';
import { homedir } from 'node:os';
import { basename, join, resolve } from 'node:path';
import { UsageError } from '../errors.js';

export interface ProfilePlace {
	readonly name: string;
	/** Absolute. */
	readonly dir: string;
}

/**
 * @param name a profile's name, or a path when it has a slash
 * @returns the absolute path of its folder
 * @throws UsageError that lists where it looked
 */
export function findProfile(name: string): string {
	if (name.includes('/')) {
		const dir = resolve(name);
		if (isDirectory(dir)) return dir;
		throw new UsageError(`${dir} is not a profile folder; create it with: tsdup create ${name}`);
	}
	checkName(name);
	const places = searchPlaces();
	const dir = places.map((place) => join(place, name)).find(isDirectory);
	if (dir !== undefined) return dir;
	throw new UsageError(
		`no profile "${name}" in ${places.join(', ')}; create it with: tsdup create ${name}, or give a path with a slash`,
	);
}

/** Every profile that has a conf, in the order of search; of two with one name the first. */
export function listProfiles(): ProfilePlace[] {
	const found = new Map<string, ProfilePlace>();
	for (const place of searchPlaces()) {
		for (const name of readNames(place)) {
			const dir = join(place, name);
			if (!found.has(name) && isFile(join(dir, 'conf'))) found.set(name, { name, dir });
		}
	}
	return [...found.values()];
}

/**
 * The folder that a new profile gets: in `$TSDUP_PROFILES`, else in `~/.tsdup`.
 * @throws UsageError when a profile of this name would be hidden by it
 */
export function newProfileDir(name: string): string {
	if (name.includes('/')) return resolve(name);
	checkName(name);
	const places = searchPlaces();
	const taken = places.map((place) => join(place, name)).find(isDirectory);
	if (taken !== undefined) throw new UsageError(`profile "${name}" exists already: ${taken}`);
	return join(places[0] as string, name);
}

/** The profile's name, as duply derives it from its folder. */
export function profileName(dir: string): string {
	return basename(resolve(dir));
}

function searchPlaces(): string[] {
	const own = process.env.TSDUP_PROFILES;
	const places = [join(homedir(), '.tsdup'), '/etc/tsdup', join(homedir(), '.duply'), '/etc/duply'];
	return own ? [resolve(own), ...places] : places;
}

function checkName(name: string): void {
	if (name === '' || name === '.' || name === '..') throw new UsageError(`"${name}" is not a profile name`);
}

function isDirectory(path: string): boolean {
	return statSync(path, { throwIfNoEntry: false })?.isDirectory() ?? false;
}

function isFile(path: string): boolean {
	return statSync(path, { throwIfNoEntry: false })?.isFile() ?? false;
}

/** Empty for a folder that is not there or may not be read. */
function readNames(dir: string): string[] {
	try {
		return readdirSync(dir).sort();
	} catch {
		return [];
	}
}
