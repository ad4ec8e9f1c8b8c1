/** Which threads give way to which. */
import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { test } from 'node:test';
import { lowerOtherThreads } from '../src/posix/calls.js';

/** The nice value of each thread of this process. */
function niceOfThreads(): Map<number, number> {
	const nice = new Map<number, number>();
	for (const id of readdirSync('/proc/self/task')) {
		const stat = readFileSync(`/proc/self/task/${id}/stat`, 'latin1');
		// The 19th field; the second, a name in parentheses, may hold blanks.
		const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
		nice.set(Number(id), Number(fields[16]));
	}
	return nice;
}

test('All threads but the main one give way to it', async () => {
	// The pool is made when it is first used.
	await readFile('/proc/self/stat');
	const before = niceOfThreads();
	assert.ok(before.size >= 5, `${before.size} threads`);
	const own = before.get(process.pid) as number;
	lowerOtherThreads();
	const after = niceOfThreads();
	for (const id of before.keys()) assert.equal(after.get(id), id === process.pid ? own : 10);
});
