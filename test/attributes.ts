/**
 * What ordinary programs say of a tree beyond types, owners and contents: nanoseconds, extended attributes, ACLs, hard links. Must run
 * outside of the process that serves a mount.
 */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';

export interface Attributes {
	/** Of each path the time to the nanosecond. */
	readonly times: string;
	/** As getfattr dumps them. */
	readonly xattrs: string;
	/** As getfacl dumps them. */
	readonly acls: string;
	/** Paths of more than one name, one line for each file. */
	readonly links: string;
}

/** @param leaveOut a path that is not looked at, `./PATH` */
export function attributesOf(root: string, leaveOut = ''): Attributes {
	const run = (script: string) =>
		execFileSync('sh', ['-ec', script, 'sh', leaveOut], { cwd: root, maxBuffer: 2 ** 28 }).toString('latin1');
	const all = 'find . ! -path "$1" -print0 | LC_ALL=C sort -z | xargs -0r';
	const groups = new Map<string, string[]>();
	for (const line of run(
		'find . ! -type d ! -path "$1" -links +1 -printf "%i %n %p\\n" | LC_ALL=C sort -k3',
	).split('\n')) {
		const [inode = '', count = '', path = ''] = line.split(' ');
		if (path) groups.set(inode, [...(groups.get(inode) ?? [count]), path]);
	}
	return {
		times: run(`${all} stat -c '%n %.Y'`),
		xattrs: run(`${all} getfattr -h -d -m - -e hex --`),
		acls: run(`${all} getfacl -n -p --`),
		links: [...groups.values()].map((group) => group.join(' ')).join('\n'),
	};
}

/** rsync sees no difference between two trees, whatever it can compare, contents included. */
export function assertSameToRsync(a: string, b: string, options: readonly string[] = []): void {
	const args = ['-aHAXn', '--checksum', '--modify-window=-1', '--itemize-changes', '--delete', ...options];
	assert.equal(execFileSync('rsync', [...args, `${a}/`, `${b}/`]).toString(), '');
}
