/** Builds the index of a collection again from the target. */
import { existsSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import type { Access } from '../collection/access.js';
import { UsageError } from '../errors.js';
import { Index } from '../index/index.js';
import { openRuns } from '../index/runs.js';
import type { Listener } from '../index/take-in.js';
import { type OpenCollection, openSnapshots } from './open.js';

/**
 * The old index is kept until the new one stands: a host that has only the public key cannot build it again.
 * @throws UsageError while an interrupted backup needs it; what `openSnapshots` throws, and then the old one is back
 */
export async function rebuildIndex(access: Access, listener: Listener): Promise<OpenCollection> {
	const path = join(access.cacheDir, 'index.sqlite');
	const aside = `${path}.old`;
	const index = new Index(path);
	const runs = openRuns(index).length;
	index.close();
	if (runs > 0) {
		throw new UsageError(
			'A run was interrupted and the index knows how to mend it: run `tsdup backup` first.',
		);
	}
	move(path, aside);
	try {
		return await openSnapshots(access, listener);
	} catch (error) {
		move(aside, path);
		throw error;
	} finally {
		for (const suffix of SUFFIXES) rmSync(aside + suffix, { force: true });
	}
}

/** SQLite's own files beside the database. */
const SUFFIXES = ['', '-wal', '-shm'];

function move(from: string, to: string): void {
	for (const suffix of SUFFIXES) {
		rmSync(to + suffix, { force: true });
		if (existsSync(from + suffix)) renameSync(from + suffix, to + suffix);
	}
}
