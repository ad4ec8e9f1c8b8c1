/** Paths to node ids: the tree of names that all sets of a collection share. */
import type { Statement } from 'better-sqlite3';
import { DamageError } from '../errors.js';
import { ROOT_NODE } from './entry.js';
import type { Index } from './index.js';

const NONE = Buffer.alloc(0);

/** A folder on the way to the path before. */
interface Folder {
	readonly node: number;
	/** Where its name ends in the path. */
	readonly end: number;
	/** Made since this way was entered: what it holds was made since then, too. */
	readonly isNew: boolean;
	/** The last, in bytewise order, of the names that were looked for in it. */
	greatest: Buffer | null;
}

export class Nodes {
	readonly #add: Statement;
	readonly #find: Statement;
	readonly #above: Statement;
	/** The path before, and its folders from the root down to itself: the next path shares most of them. */
	#path: Buffer = NONE;
	#way: Folder[] = [{ node: ROOT_NODE, end: -1, isNew: false, greatest: null }];

	constructor({ db }: Index) {
		this.#find = db.prepare('SELECT id FROM nodes WHERE parent = ? AND name = ?').pluck();
		this.#add = db.prepare('INSERT INTO nodes (parent, name) VALUES (?, ?)');
		this.#above = db.prepare('SELECT parent, name FROM nodes WHERE id = ?');
	}

	/**
	 * The node of a path, made when it is new. All calls belong into one transaction. Quickest for paths in bytewise order of
	 * their components, as sets have them: what is new is then known to be without asking.
	 * @throws DamageError for names that no file can have: they would lead out of the tree
	 */
	of(path: Buffer): number {
		if (path.length === 0) return ROOT_NODE;
		const way = this.#way;
		way.length = this.#shared(path);
		this.#path = path;
		let folder = way.at(-1) as Folder;
		while (folder.end < path.length) {
			const slash = path.indexOf(SLASH, folder.end + 1);
			const end = slash < 0 ? path.length : slash;
			const name = path.subarray(folder.end + 1, end);
			if (!isPossible(name)) {
				throw new DamageError(
					`A backup holds a path that no file can have: ${JSON.stringify(path.toString())}`,
				);
			}
			folder = this.#enter(folder, name, end);
			way.push(folder);
		}
		return folder.node;
	}

	/** How many folders of the path before are those of `path`, too. */
	#shared(path: Buffer): number {
		const before = this.#path;
		let same = 0;
		while (same < path.length && path[same] === before[same]) same += 1;
		let depth = this.#way.length;
		for (; depth > 1; depth--) {
			const { end } = this.#way[depth - 1] as Folder;
			if (end <= same && (end === path.length || path[end] === SLASH)) break;
		}
		return depth;
	}

	#enter(folder: Folder, name: Buffer, end: number): Folder {
		const isNext = folder.greatest === null || folder.greatest.compare(name) < 0;
		if (isNext) folder.greatest = name;
		const found =
			folder.isNew && isNext ? undefined : (this.#find.get(folder.node, name) as number | undefined);
		const node = found ?? Number(this.#add.run(folder.node, name).lastInsertRowid);
		return { node, end, isNew: found === undefined, greatest: null };
	}

	/** The path of a node, relative to the source. */
	path(node: number): Buffer {
		const names: Buffer[] = [];
		for (let id = node; id !== ROOT_NODE; ) {
			const row = this.#above.get(id) as { parent: number; name: Buffer } | undefined;
			if (!row) throw new DamageError('The index holds an entry without a path: run `tsdup index rebuild`.');
			names.unshift(row.name, SEPARATOR);
			id = row.parent;
		}
		return Buffer.concat(names.slice(0, -1));
	}
}

const SLASH = 0x2f;
const DOT = 0x2e;
const SEPARATOR = Buffer.from('/');

function isPossible(name: Buffer): boolean {
	const isDots = name[0] === DOT && (name.length === 1 || (name.length === 2 && name[1] === DOT));
	return name.length > 0 && !isDots && !name.includes(0);
}
