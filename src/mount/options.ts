/** The words of `-o`, as mount(8) has them; called by the command line. */
import { UsageError } from '../errors.js';
import type { MountOptions } from './driver.js';

/** Said by fstab lines and mount(8) for itself, or always so here. */
const WITHOUT_EFFECT = new Set([
	...['ro', 'nosuid', 'nodev', 'noatime', 'nodiratime', 'relatime'],
	...['defaults', 'auto', 'noauto', 'user', 'users', 'nouser', 'nofail', '_netdev'],
	...['exec', 'async', 'sync', 'dirsync', 'diratime', 'strictatime', 'lazytime', 'nolazytime'],
]);

export type UserOptions = Omit<MountOptions, 'fsname'> & { fsname?: string };

/**
 * `lists` are the values of all `-o`, each words with commas between, a comma within a word with a backslash before it; throws
 * `UsageError` for a word that isn't known.
 */
export function parseMountOptions(lists: readonly string[]): UserOptions {
	const options: UserOptions = { allowOther: false };
	for (const word of lists.flatMap((list) => list.match(/(?:[^,\\]|\\.)+/g) ?? [])) {
		const equals = word.indexOf('=');
		const name = equals < 0 ? word : word.slice(0, equals);
		const value = equals < 0 ? '' : word.slice(equals + 1);
		if (WITHOUT_EFFECT.has(word) || /^(x-|X-|user=|comment=)/.test(word)) continue;
		else if (word === 'allow_other') options.allowOther = true;
		else if (word === 'noexec') options.noExec = true;
		else if (name === 'fsname') options.fsname = value.replaceAll(/\\(.)/g, '$1');
		else if (name === 'uid' || name === 'gid') options[name] = parseId(name, value);
		else if (name === 'umask') options.umask = parseUmask(value);
		else if (word === 'rw') throw new UsageError('snapshots are read-only: leave out -o rw');
		else {
			throw new UsageError(
				`unknown mount option ${word}; known are ro, noexec, allow_other, uid=N, gid=N, umask=OCTAL and fsname=NAME`,
			);
		}
	}
	return options;
}

function parseId(name: string, value: string): number {
	const id = /^\d{1,10}$/.test(value) ? Number(value) : Number.NaN;
	// The highest 32-bit number means "no id" to the kernel.
	if (id < 2 ** 32 - 1) return id;
	throw new UsageError(`mount option ${name}=${value}: give a number, as id(1) prints it`);
}

function parseUmask(value: string): number {
	if (/^[0-7]{1,4}$/.test(value)) return Number.parseInt(value, 8) & 0o777;
	throw new UsageError(`mount option umask=${value}: give an octal number such as 022`);
}
