/** A listing out of the index says the same as its entries one by one. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import {
	type Entry,
	type Header,
	type ListedEntry,
	ROOT_NODE,
	type SnapshotSet,
} from '../src/index/entry.js';
import { type Index, PAGE } from '../src/index/index.js';
import { SetImport } from '../src/index/set-import.js';
import { newIndex } from './new-index.js';

const SET: SnapshotSet = { id: 1, kind: 'full', time: 1000, start: null, chain: 1000 };
const NONE = Buffer.alloc(0);

const or = <T>(value: fc.Arbitrary<T>) => fc.option(value, { nil: null });
const most32 = fc.nat({ max: 2 ** 32 - 1 });
const header: fc.Arbitrary<Header> = fc.record({
	type: fc.constantFrom('file', 'dir', 'symlink', 'fifo', 'chardev', 'blockdev'),
	mode: fc.nat({ max: 0o7777 }),
	uid: most32,
	gid: most32,
	uname: fc.constant(NONE),
	gname: fc.constant(NONE),
	mtime: fc.integer({ min: -(2 ** 40), max: 2 ** 40 }),
	mtimeNs: or(fc.nat({ max: 999_999_999 })),
	link: or(fc.constant(Buffer.from('target'))),
	devMajor: fc.nat({ max: 4095 }),
	devMinor: fc.nat({ max: 2 ** 20 - 1 }),
	xattrs: or(fc.constant(Buffer.from('x'))),
	hardLink: or(fc.maxSafeNat()),
	allocated: or(fc.maxSafeNat()),
});
const size = or(fc.maxSafeNat());

function add(index: Index, entries: readonly { name: Buffer; header: Header; size: number | null }[]): void {
	index.db.exec('DELETE FROM sets; DELETE FROM versions; DELETE FROM nodes WHERE id <> 1');
	const set = new SetImport(index, SET, null);
	for (const { name, header, size } of entries)
		set.entry(name, header, { size, extents: null, delta: null }, null);
}

function stat({
	node,
	name,
	type,
	mode,
	uid,
	gid,
	mtime,
	mtimeNs,
	size,
	devMajor,
	devMinor,
	...rest
}: Entry) {
	const { hardLink, allocated, xattrs } = rest;
	const numbers = { mode, uid, gid, mtime, mtimeNs, size, devMajor, devMinor, hardLink, allocated };
	return { node, name, type, ...numbers, hasXattrs: xattrs !== null };
}

test('whatever there is to say of entries, a listing says it', (t) => {
	const index = newIndex(t);
	const name = fc
		.uint8Array({ minLength: 1, maxLength: 12 })
		.filter((bytes) => !bytes.includes(0) && !bytes.includes(0x2f) && bytes[0] !== 0x2e)
		.map((bytes) => Buffer.from(bytes));
	const entry = fc.record({ name, header, size });
	fc.assert(
		fc.property(fc.uniqueArray(entry, { selector: ({ name }) => name.toString('latin1') }), (entries) => {
			add(index, entries);
			const listed = index.listStat(SET, ROOT_NODE, 0);
			assert.deepEqual(listed, index.list(SET, ROOT_NODE).map(stat));
			const names = entries.map((one) => one.name).sort(Buffer.compare);
			assert.deepEqual(
				listed.map((one) => one.name),
				names,
			);
		}),
	);
});

test('an empty directory, and one of another set, list nothing', (t) => {
	const index = newIndex(t);
	assert.deepEqual(index.listStat(SET, ROOT_NODE, 0), []);
	add(index, []);
	assert.deepEqual(index.listStat(SET, ROOT_NODE, 0), []);
	assert.deepEqual(index.listStat({ ...SET, time: 7 }, 12345, 0), []);
});

test('a directory of many entries is listed whole, in parts', (t) => {
	const index = newIndex(t);
	const [first] = fc.sample(header, { numRuns: 1, seed: 1 });
	// Nodes are numbered in another order than that of names.
	const entries = Array.from({ length: 20 * PAGE }, (_, i) => {
		return {
			name: Buffer.from(String((i * 7919) % (20 * PAGE)).padStart(5, '0')),
			header: first as Header,
			size: i,
		};
	});
	index.db.transaction(() => add(index, entries))();
	const parts: ListedEntry[][] = [];
	do parts.push(index.listStat(SET, ROOT_NODE, parts.at(-1)?.at(-1)?.node ?? 0));
	while (parts.at(-1)?.length === PAGE);
	assert.deepEqual(
		parts.map((part) => part.length),
		[...Array(20).fill(PAGE), 0],
	);
	assert.deepEqual(parts.flat(), index.list(SET, ROOT_NODE).map(stat));
	// From the middle of a part as well.
	const [part = []] = parts;
	assert.deepEqual(index.listStat(SET, ROOT_NODE, part[499]?.node as number).slice(0, 500), part.slice(500));
});
