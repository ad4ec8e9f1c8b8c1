/** Edits of a source tree that fast-check makes up: whatever stands at a path, each of them can be applied. */
import { chmodSync, lstatSync } from 'node:fs';
import fc from 'fast-check';
import type { SourceTree } from './source-tree.js';

export interface Edit {
	readonly kind: 'write' | 'edit' | 'append' | 'remove' | 'rename' | 'dir' | 'symlink' | 'fifo' | 'chmod';
	/** One character per byte, as in a `SourceTree`. */
	readonly path: string;
	/** What is renamed goes here; part of what a symlink says. */
	readonly other: string;
	/** Bytes of what is written. */
	readonly size: number;
	readonly mode: number;
}

export const PATHS = [
	...[
		'a',
		'b',
		'd',
		'd/x',
		'd/y',
		'd/e',
		'd/e/z',
		'd-a',
		'd.a/f',
		'1',
		'latin1-\xe9',
		'new\nline',
		' blank ',
	],
	...['multivol_diff/1', 'snapshot/1', `long-${'n'.repeat(120)}`, 'z'],
];
/** duplicity cuts files into pieces of 64 KiB. */
const SIZES = [0, 1, 700, 65_535, 65_536, 65_537, 131_072, 200_000];

const path = fc.constantFrom(...PATHS);

/** Edits of one step. */
export const anyEdits: fc.Arbitrary<Edit[]> = fc.array(
	fc.record({
		kind: fc.constantFrom(
			...(['write', 'write', 'write', 'edit', 'edit', 'append', 'remove'] as const),
			...(['rename', 'dir', 'symlink', 'fifo', 'chmod'] as const),
		),
		path,
		other: path,
		size: fc.constantFrom(...SIZES),
		mode: fc.constantFrom(0o600, 0o755, 0o4711),
	}),
	{ minLength: 15, maxLength: 30 },
);

export function applyEdits(tree: SourceTree, edits: readonly Edit[]): void {
	for (const edit of edits) {
		apply(tree, edit);
		tree.setTimes();
	}
}

function apply(tree: SourceTree, { kind, path, other, size, mode }: Edit): void {
	const type = typeAt(tree, path);
	if (type === 'file' && kind === 'edit') tree.overwrite(path, Math.min(size, 1000), tree.noise(20));
	else if (type === 'file' && kind === 'append')
		tree.overwrite(path, lstatSync(tree.path(path)).size, tree.noise(size));
	else if (kind === 'remove') removeIfThere(tree, path);
	else if (kind === 'chmod') {
		if (type === 'file' || type === 'dir') chmodSync(tree.touch(path), mode);
	} else if (kind === 'rename') {
		if (type !== null && !isAbove(path, other) && !isAbove(other, path)) {
			makeRoom(tree, other);
			tree.rename(path, other);
			tree.touch(other);
		}
	} else {
		makeRoom(tree, path);
		if (kind === 'dir') tree.mkdir(path);
		else if (kind === 'symlink') tree.symlink(path, `nowhere/${other}`);
		else if (kind === 'fifo') tree.special(path, 'p');
		else tree.write(path, tree.noise(size));
	}
}

/** Nothing stands at `path`, and only folders above it. */
function makeRoom(tree: SourceTree, path: string): void {
	const parts = path.split('/');
	for (let i = 1; i < parts.length; i++) {
		const above = parts.slice(0, i).join('/');
		if (typeAt(tree, above) !== 'dir') removeIfThere(tree, above);
		tree.mkdir(above);
	}
	removeIfThere(tree, path);
}

function removeIfThere(tree: SourceTree, path: string): void {
	if (typeAt(tree, path) !== null) tree.remove(path);
}

/** Also when they are the same. */
function isAbove(path: string, other: string): boolean {
	return `${other}/`.startsWith(`${path}/`);
}

function typeAt(tree: SourceTree, path: string): 'file' | 'dir' | 'other' | null {
	let stat: ReturnType<typeof lstatSync> | undefined;
	try {
		stat = lstatSync(tree.path(path), { throwIfNoEntry: false });
	} catch (error) {
		if ((error as NodeJS.ErrnoException).code !== 'ENOTDIR') throw error;
	}
	if (!stat) return null;
	if (stat.isFile()) return 'file';
	return stat.isDirectory() ? 'dir' : 'other';
}
