/** `tsdup index`: the local index, which is only a cache. */
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import type { Command } from 'commander';
import { takeLock } from '../backup/lock.js';
import { openProfile } from '../collection/access.js';
import { findProfile } from '../profile/find.js';
import { openSnapshots } from '../snapshots/open.js';
import { count, outputOf } from './output.js';

export function addIndex(program: Command): void {
	program
		.command('index')
		.description('work on the local index')
		.command('rebuild <profile>')
		.description('throw the local index away and build it again from the target')
		.action(async (profile: string, _options: unknown, command: Command) => {
			const output = outputOf(command);
			const access = await openProfile(findProfile(profile));
			const release = takeLock(join(access.cacheDir, 'lock.sqlite'));
			try {
				for (const suffix of ['', '-wal', '-shm'])
					rmSync(join(access.cacheDir, `index.sqlite${suffix}`), { force: true });
				const { snapshots, unusable, close } = await openSnapshots(access, (message) => output.note(message));
				for (const { reason } of unusable) output.warn(`a set cannot be indexed: ${reason}`);
				const sets = snapshots.sets().length;
				close();
				output.summary(`The index is built: ${count(sets, 'snapshot')}.`, { snapshots: sets });
			} finally {
				release();
			}
		});
}
