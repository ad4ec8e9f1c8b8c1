/** Checks of this machine: the profile's files, the source, FUSE, the cache and the index in it. Nothing here needs the target. */
import {
	accessSync,
	closeSync,
	constants,
	existsSync,
	openSync,
	readdirSync,
	statfsSync,
	statSync,
} from 'node:fs';
import { delimiter, join } from 'node:path';
import { loadAddon } from '../addon.js';
import type { ProfileAccess } from '../collection/access.js';
import { openSqlite } from '../index/sqlite.js';
import { type Finding, failed, failedBy, ok, warning } from './finding.js';

/** Bytes. Below the first a backup may not end; the second holds all that the caches are allowed. */
const SCARCE = 200e6;
const COMFORTABLE = 12 * 2 ** 30;

export function checkProfile({ conf, warnings }: ProfileAccess): Finding[] {
	const path = join(conf.dir, 'conf');
	const findings: Finding[] = warnings.map((found) => warning('profile', found, `see ${path}`));
	const { mode, uid } = statSync(path);
	const own = [0, process.getuid?.()].includes(uid);
	if (!own || (mode & 0o022) !== 0)
		findings.push(
			failed(
				'profile',
				`${path}, which bash runs, can be written by others`,
				`chown it to yourself, and: chmod 600 ${path}`,
			),
		);
	return findings.length > 0 ? findings : [ok('profile', `${path} can be read, and by its owner alone`)];
}

export function checkSource({ conf }: ProfileAccess): Finding {
	const mend = `correct SOURCE in ${conf.dir}/conf, or mount what should be there`;
	if (conf.source === null)
		return warning('source', 'SOURCE is not set: this profile can only read backups', mend);
	try {
		const names = statSync(conf.source).isDirectory() ? readdirSync(conf.source) : ['a file'];
		if (names.length > 0) return ok('source', `${conf.source} can be read`);
		return warning('source', `${conf.source} is empty`, mend);
	} catch (error) {
		return failedBy('source', error, mend);
	}
}

export function checkFuse(): Finding {
	const install = 'apt-get install fuse3; in a container, let it have /dev/fuse';
	try {
		closeSync(openSync('/dev/fuse', constants.O_RDWR));
	} catch (error) {
		return warning('fuse', `Nothing can be mounted here: ${(error as Error).message}`, install);
	}
	try {
		loadAddon('fuse', 'fuse3');
	} catch (error) {
		return warning('fuse', `Nothing can be mounted here: ${(error as Error).message}`, install);
	}
	const folders = (process.env.PATH ?? '').split(delimiter);
	const program = ['fusermount3', 'fusermount']
		.flatMap((name) => folders.map((folder) => join(folder, name)))
		.find(existsSync);
	if (program === undefined)
		return warning('fuse', 'Nothing can be unmounted here: there is no fusermount3', install);
	const isRoot = process.getuid?.() === 0;
	if (!isRoot && (statSync(program).mode & 0o4000) === 0)
		return warning(
			'fuse',
			`${program} does not run as root, so only root can mount`,
			'apt-get install --reinstall fuse3',
		);
	return ok('fuse', 'Backups can be mounted');
}

export function checkCache({ cacheDir }: ProfileAccess): Finding {
	try {
		accessSync(cacheDir, constants.W_OK | constants.X_OK);
	} catch (error) {
		return failedBy('cache', error, `make ${cacheDir} yours: chown -R`);
	}
	const { bavail, bsize } = statfsSync(cacheDir);
	const free = bavail * bsize;
	const found = `${(free / 1e9).toFixed(1)} GB are free for the index and caches, in ${cacheDir}`;
	const mend = 'make room on that disk, or set XDG_CACHE_HOME to a folder on another';
	if (free < SCARCE) return failed('cache', found, mend);
	return free < COMFORTABLE ? warning('cache', `${found}; they may take 11 GiB`, mend) : ok('cache', found);
}

/** The index that lies there, as it is: opening it in the usual way would throw a damaged one away. */
export function checkIndex({ cacheDir, conf }: ProfileAccess): Finding {
	const path = join(cacheDir, 'index.sqlite');
	if (!existsSync(path)) return ok('index', 'There is no index yet: the next command builds it');
	const mend = `tsdup index rebuild ${conf.name}`;
	try {
		const db = openSqlite(path, 10_000);
		try {
			const said = db.pragma('integrity_check(1)', { simple: true });
			return said === 'ok'
				? ok('index', 'The index is intact')
				: failed('index', `The index is damaged: ${said}`, mend);
		} finally {
			db.close();
		}
	} catch (error) {
		return failed('index', `The index is damaged: ${(error as Error).message}`, mend);
	}
}
