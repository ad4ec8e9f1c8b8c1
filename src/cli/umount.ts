/** `tsdup umount`. */
import type { Command } from 'commander';
import { umount } from '../mount/umount.js';
import { outputOf } from './output.js';

export function addUmount(program: Command): void {
	program
		.command('umount [mountpoint]')
		.description('unmount; without a mountpoint the only tsdup mount there is')
		.action(async (mountpoint: string | undefined, _options: unknown, command: Command) => {
			const path = await umount(mountpoint);
			outputOf(command).summary(`Unmounted ${path}.`, { mountpoint: path });
		});
}
