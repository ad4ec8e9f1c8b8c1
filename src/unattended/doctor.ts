/** All checks of a profile, in the order in which one needs the other. Changes nothing but a small object that it deletes again. */
import { join } from 'node:path';
import { openProfile, type ProfileAccess } from '../collection/access.js';
import { LockError } from '../errors.js';
import { checkBackups } from './backups.js';
import { type Finding, failedBy, ok } from './finding.js';
import { checkKeys } from './keys.js';
import { checkCache, checkFuse, checkIndex, checkProfile, checkSource } from './machine.js';
import { checkClock, checkTarget, checkWriting, locationOf } from './remote.js';

export interface DoctorOptions {
	/** The profile's folder. */
	readonly dir: string;
	/** Seconds since 1970: the last backup should not be older. */
	readonly oldest: number;
	/** See index/lock.ts. */
	takeLock(path: string): () => void;
}

export async function* diagnose(options: DoctorOptions): AsyncGenerator<Finding> {
	let access: ProfileAccess;
	try {
		access = await openProfile(options.dir);
	} catch (error) {
		yield failedBy('profile', error, `edit ${join(options.dir, 'conf')}`);
		return;
	}
	yield* checkProfile(access);
	yield checkSource(access);
	yield* await checkKeys(access);
	yield checkFuse();
	yield checkCache(access);
	const index = checkIndex(access);
	yield index;
	const isLocked = locked(options, access);
	yield isLocked
		? ok('lock', 'Another tsdup works on this collection just now, so that writing is not tried')
		: ok('lock', 'No other tsdup works on this collection');
	const location = locationOf(access);
	yield* await checkClock(location);
	const { reachable, findings } = await checkTarget(access);
	yield* findings;
	if (!reachable) return;
	if (!isLocked) yield* await checkWriting(access, location);
	// Opening a damaged index would throw it away before anybody knows.
	if (index.state === 'ok') yield* await checkBackups(access, options.oldest);
}

function locked({ takeLock }: DoctorOptions, { cacheDir }: ProfileAccess): boolean {
	try {
		takeLock(join(cacheDir, 'lock.sqlite'))();
		return false;
	} catch (error) {
		if (error instanceof LockError) return true;
		throw error;
	}
}
