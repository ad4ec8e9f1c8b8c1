/** Waits for what another process does. */
import assert from 'node:assert/strict';
import { setTimeout as sleep } from 'node:timers/promises';

/** @param said what to say when it has not come to be after so many seconds */
export async function until(
	holds: () => boolean | Promise<boolean>,
	seconds: number,
	said: () => string = () => holds.toString(),
): Promise<void> {
	for (const end = Date.now() + seconds * 1000; !(await holds()); await sleep(50)) {
		assert.ok(Date.now() < end, `it never came to be: ${said()}`);
	}
}
