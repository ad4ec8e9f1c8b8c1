/** Whether two trees are the same, as the system's own find and diff see them: not with anything of tsdup. */
import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';

/** Contents, names, types, permissions, owners, link targets and times (whole seconds) of all below both roots. */
export function assertSameTree(actual: string, expected: string): void {
	assert.deepEqual(listing(actual), listing(expected));
	const diff = spawnSync('diff', ['-r', '--no-dereference', actual, expected], { encoding: 'latin1' });
	assert.equal(diff.status, 0, diff.stdout + diff.stderr);
}

/** One line per path; sizes of directories and modes of links say nothing. */
function listing(root: string): string[] {
	const formats = [
		['-type', 'd', '-printf', '%P\\td %m %U:%G %T@\\0'],
		['-type', 'l', '-printf', '%P\\tl %U:%G %l\\0'],
		['-printf', '%P\\t%y %m %U:%G %s %T@\\0'],
	];
	const words = formats.flatMap((format, i) => (i === 0 ? format : ['-o', ...format]));
	const lines = execFileSync('find', [root, '(', ...words, ')'], { encoding: 'latin1' }).split('\0');
	return lines.map((line) => line.replace(/\.\d+$/, '')).sort();
}
