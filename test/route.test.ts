/** Which directory somebody who goes through a tree will list next. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { DirectoryEntry } from '../src/mount/driver.js';
import { Route } from '../src/mount/route.js';

const folders = (...inos: number[]): DirectoryEntry[] =>
	inos.map((ino) => ({ name: Buffer.from(`${ino}`), ino, offset: ino, type: 'dir', attributes: null }));

test('folders of a later part of a listing come behind those of the parts before, and before what is above', () => {
	const route = new Route();
	route.enter(1, folders(10, 20));
	assert.equal(route.enter(10, folders(11, 12)), true);
	assert.equal(route.goOn(10, folders(13, 14)), true);
	for (const ino of [11, 12, 13, 14, 20]) {
		assert.equal(route.next, ino);
		assert.equal(route.enter(ino, []), true);
	}
	assert.equal(route.next, null);
	assert.equal(route.goOn(10, folders(15)), false);
});
