/**
 * What is backed up: Debian's Linux sources, unpacked, and an image of 600 MB beside them. The pristine tree is made
 * once and kept; each round works on a fresh copy, so edits do not add up.
 */
import { existsSync } from 'node:fs';
import { mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { makeImage, spoil } from './image.js';
import { run } from './run.js';
import { Seeded } from './seeded.js';

const SOURCES = '/usr/src/linux-source-6.1.tar.xz';
const PACKAGE = 'linux-source-6.1';

export interface Size {
	readonly name: 'full' | 'small';
	/** What is unpacked of the sources. */
	readonly part: string;
	/** Bytes, a multiple of 1 MiB. */
	readonly imageLength: number;
	/** Files that an edit changes, and spots of the image. */
	readonly editedFiles: number;
	readonly editedSpots: number;
}

export const FULL: Size = {
	name: 'full',
	part: PACKAGE,
	imageLength: 572 * 2 ** 20,
	editedFiles: 4000,
	editedSpots: 300,
};

/** For a quick check of the benchmark itself: its figures say little. */
export const SMALL: Size = {
	name: 'small',
	part: `${PACKAGE}/Documentation`,
	imageLength: 29 * 2 ** 20,
	editedFiles: 400,
	editedSpots: 30,
};

const SPOT_LENGTH = 40_000;

/** A regular file, path relative to the tree, size in bytes. */
export interface TreeFile {
	readonly path: string;
	readonly size: number;
}

export interface Tree {
	readonly root: string;
	/** Regular files. */
	readonly count: number;
	/** In all of them. */
	readonly bytes: number;
	readonly image: TreeFile;
	/** A small file that no edit touches, and one that the edit changes. */
	readonly untouched: TreeFile;
	readonly edited: TreeFile;
	/** Spread evenly over the sources. */
	readonly toEdit: readonly TreeFile[];
}

/** A fresh copy of the tree at `root`, but for the folder `leftOut`. @throws Error when Debian's package is not installed */
export async function freshTree(work: string, size: Size, root: string, leftOut?: string): Promise<Tree> {
	const pristine = join(work, `pristine-${size.name}`);
	if (!existsSync(pristine)) await makePristine(pristine, size);
	await rm(root, { recursive: true, force: true });
	await run('cp', ['-a', '--reflink=auto', pristine, root]);
	if (leftOut) await rm(join(root, leftOut), { recursive: true, force: true });
	return describe(root, size);
}

/** Adds a line to each file of `toEdit`, and changes spots of the image. */
export async function edit(tree: Tree, size: Size, seed: string): Promise<void> {
	const random = new Seeded(seed);
	for (const { path } of tree.toEdit) {
		const file = join(tree.root, path);
		const content = await readFile(file);
		const at = content.indexOf(10, random.below(content.length + 1)) + 1;
		const line = Buffer.from(`/* ${random.bytes(24).toString('hex')} */\n`);
		await writeFile(file, Buffer.concat([content.subarray(0, at), line, content.subarray(at)]));
	}
	await spoil(join(tree.root, tree.image.path), size.editedSpots, SPOT_LENGTH, seed);
}

async function makePristine(path: string, size: Size): Promise<void> {
	if (!existsSync(SOURCES)) {
		throw new Error(`${SOURCES} is not there: install Debian's package ${PACKAGE}.`);
	}
	const unfinished = `${path}.unfinished`;
	await rm(unfinished, { recursive: true, force: true });
	await mkdir(unfinished, { recursive: true });
	await run('tar', ['xf', SOURCES, '-C', unfinished, size.part]);
	await makeImage(join(unfinished, 'image'), size.imageLength);
	await rename(unfinished, path);
}

async function describe(root: string, size: Size): Promise<Tree> {
	const listing = await run('find', [root, '-type', 'f', '-printf', '%s %P\\n']);
	const all = listing.trimEnd().split('\n').map(parseFile);
	const image = all.find(({ path }) => path === 'image');
	const sources = all.filter((file) => file !== image).sort((a, b) => (a.path < b.path ? -1 : 1));
	const stride = Math.floor(sources.length / size.editedFiles);
	const toEdit = sources.filter((_, i) => i % stride === 0).slice(0, size.editedFiles);
	const chosen = new Set(toEdit);
	const isSmall = (file: TreeFile) => file.size > 2000 && file.size < 8000;
	const later = sources.slice(sources.length / 2).filter(isSmall);
	const untouched = later.find((file) => !chosen.has(file));
	const edited = later.find((file) => chosen.has(file));
	if (!image || !untouched || !edited)
		throw new Error(`${root} is not the tree that the benchmark works on.`);
	const bytes = all.reduce((sum, file) => sum + file.size, 0);
	return { root, count: all.length, bytes, image, untouched, edited, toEdit };
}

/** A line of find: size and path. The sources' names are plain text. */
function parseFile(line: string): TreeFile {
	const space = line.indexOf(' ');
	return { size: Number(line.slice(0, space)), path: line.slice(space + 1) };
}
