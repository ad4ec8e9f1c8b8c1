/** `tsdup index`: the local index, which is only a cache. */
import { join } from 'node:path';
import type { Command } from 'commander';
import { openProfile } from '../collection/access.js';
import { takeLock } from '../index/lock.js';
import { findProfile } from '../profile/find.js';
import { type OpenCollection, openSnapshots } from '../snapshots/open.js';
import { rebuildIndex } from '../snapshots/rebuild.js';
import { count, listenerFor, type Output, outputOf } from './output.js';
import { addUpdate } from './update-index.js';

export function addIndex(program: Command): void {
	const index = program.command('index').description('work on the local index');
	addUpdate(index);
	index
		.command('build <profile>')
		.description('learn all file sizes in what duplicity wrote, so that no `ls -l` has to wait for a volume')
		.action(async (profile: string, _options: unknown, command: Command) => {
			const output = outputOf(command);
			const access = await openProfile(findProfile(profile));
			const open = await openSnapshots(access, listenerFor(output));
			const failures = await open.learnSizes(({ volume, done, of }) =>
				output.progress(() => `${done} of ${count(of, 'volume')} read  ${volume}`),
			);
			for (const failure of failures) output.warn(failure);
			finish(open, output);
		});
	index
		.command('rebuild <profile>')
		.description('throw the local index away and build it again from the target')
		.action(async (profile: string, _options: unknown, command: Command) => {
			const output = outputOf(command);
			const access = await openProfile(findProfile(profile));
			const release = takeLock(join(access.cacheDir, 'lock.sqlite'));
			try {
				finish(await rebuildIndex(access, listenerFor(output)), output);
			} finally {
				release();
			}
		});
}

function finish({ snapshots, unusable, close }: OpenCollection, output: Output): void {
	for (const { reason } of unusable) output.warn(`a set cannot be indexed: ${reason}`);
	const sets = snapshots.sets().length;
	close();
	output.summary(`The index is built: ${count(sets, 'snapshot')}.`, { snapshots: sets });
}
