/** `tsdup list`: the paths of a snapshot, one per line, as the bytes they are. */
import type { Command } from 'commander';
import type { Entry } from '../index/entry.js';
import { localTime, outputOf, pathFields } from './output.js';
import { openSnapshot } from './snapshot-argument.js';

export function addList(program: Command): void {
	program
		.command('list <profile> [time]')
		.description('list the paths of a snapshot, by default the newest')
		.action(async (profile: string, time: string | undefined, _: unknown, command: Command) => {
			const output = outputOf(command);
			const { collection, set } = await openSnapshot(profile, time, output);
			let entries = 0;
			const show = (entry: Entry, path: Buffer) => {
				entries++;
				const { type, mode, uid, gid, mtime, size } = entry;
				output.result(path, {
					...pathFields(path),
					...{ type, mode, uid, gid, mtime, size },
				});
				if (type !== 'dir') return;
				for (const child of collection.snapshots.list(set, entry.node)) {
					const at =
						entry.name.length === 0 ? child.name : Buffer.concat([path, Buffer.from('/'), child.name]);
					show(child, at);
				}
			};
			const root = collection.snapshots.root(set);
			if (root) show(root, Buffer.from('.'));
			if (output.json) output.summary('', { time: localTime(set.time), entries });
			collection.close();
		});
}
