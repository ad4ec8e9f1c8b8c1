/** What somebody who goes through a nested tree, file by file, has to ask for. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { DirectoryEntry } from '../src/mount/driver.js';
import { ReadAhead } from '../src/mount/read-ahead.js';

const FOLDERS = 50;
const FILES = 6;

/** Inodes in the order of a backup: a folder, then all that is in it. Each folder has files before and behind its subfolder. */
const folders = new Map<number, DirectoryEntry[]>();
let inodes = 1;
const root = folder(() =>
	Array.from({ length: FOLDERS }, () => folder(() => [...files(), folder(files), ...files()])),
);

function entry(ino: number, type: 'file' | 'dir'): DirectoryEntry {
	return { name: Buffer.from(`${ino}`), ino, offset: ino, type, attributes: null };
}

function files(): DirectoryEntry[] {
	return Array.from({ length: FILES }, () => entry(inodes++, 'file'));
}

function folder(make: () => DirectoryEntry[]): DirectoryEntry {
	const itself = entry(inodes++, 'dir');
	folders.set(itself.ino, make());
	return itself;
}

async function following(ino: number): Promise<{ ino: number; bytes: Buffer }[]> {
	const listing = [...folders.values()].find((entries) => entries.some((one) => one.ino === ino)) ?? [];
	const rest = listing.filter((one) => one.type === 'file' && one.ino >= ino);
	return rest.map((one) => ({ ino: one.ino, bytes: Buffer.alloc(100) }));
}

test('who copies a nested tree in its order is given nearly all of its files', async () => {
	const given = new Set<number>();
	const asked: number[] = [];
	const tree = {
		following,
		isFixed: () => true,
		readdir: async (ino: number) => ({ entries: folders.get(ino) ?? [], isLast: true }),
	};
	const ahead = new ReadAhead(tree, (files) => {
		for (const { ino } of files) given.add(ino);
	});
	const copy = async ({ ino }: DirectoryEntry): Promise<void> => {
		const part = await ahead.readdir(ino, 0);
		await ahead.listed(ino, 0, part);
		for (const entry of part.entries) {
			if (entry.type === 'dir') await copy(entry);
			else if (!given.has(entry.ino)) {
				asked.push(entry.ino);
				await ahead.read(entry.ino);
			}
		}
	};
	await copy(root);
	// The first files, and now and then one that shows that he still reads.
	assert.ok(asked.length < FOLDERS, `${asked.length} of ${FOLDERS * 3 * FILES}`);
});
