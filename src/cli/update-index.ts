/** `tsdup index update`, which mounts run to keep up with a target: in a process of its own, since taking in a set keeps one busy. */
import { spawn } from 'node:child_process';
import { text } from 'node:stream/consumers';
import type { Command } from 'commander';
import { openProfile, openUrl } from '../collection/access.js';
import { TsdupError, WARNED } from '../errors.js';
import { findProfile } from '../profile/find.js';
import { openSnapshots } from '../snapshots/open.js';
import { localTime, outputOf } from './output.js';

/** How a mount was told to find a collection. */
export type Source = { readonly profile: string } | { readonly target: string };

export function addUpdate(index: Command): void {
	index
		.command('update', { hidden: true })
		.option('-p, --profile <profile>')
		.option('--target <url>')
		.action(async (options: { profile?: string; target?: string }, command: Command) => {
			const output = outputOf(command);
			const { profile, target } = options;
			const access =
				target === undefined ? await openProfile(findProfile(profile ?? '')) : await openUrl(target);
			const { unusable, close } = await openSnapshots(access, {
				note: (message) => output.warn(message),
				taken: () => {},
			});
			for (const { set, reason } of unusable)
				output.warn(`the snapshot of ${localTime(set.time)} cannot be shown: ${reason}`);
			close();
		});
}

/** Runs it. @returns what it warned of, a line each. @throws TsdupError with its own words when it fails */
export async function updateIndex(source: Source): Promise<string[]> {
	const options = 'profile' in source ? ['--profile', source.profile] : ['--target', source.target];
	const args = [process.argv[1] as string, '--quiet', 'index', 'update', ...options];
	const child = spawn(process.execPath, [...process.execArgv, ...args], {
		stdio: ['ignore', 'ignore', 'pipe'],
	});
	const kill = () => child.kill();
	process.once('exit', kill);
	const exit = new Promise<number | null>((resolve, reject) => {
		child.once('error', reject);
		child.once('close', resolve);
	});
	const said = await text(child.stderr);
	const code = await exit;
	process.off('exit', kill);
	const lines = said.split('\n').filter((line) => line !== '');
	if (code === 0 || code === WARNED) return lines.map((line) => line.replace(/^warning: /, ''));
	throw new TsdupError(lines.at(-1)?.replace(/^tsdup: /, '') ?? `it ended with ${code}`);
}
