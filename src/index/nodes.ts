/** Paths to node ids: the tree of names that all sets of a collection share. */
import type { Statement } from 'better-sqlite3';
import { DamageError } from '../errors.js';
import { ROOT_NODE } from './entry.js';
import type { Index } from './index.js';

export class Nodes {
	readonly #add: Statement;
	readonly #find: Statement;
	readonly #above: Statement;
	/** Components of the path before, and their nodes: the next path shares most of them. */
	#names: Buffer[] = [];
	#ids: number[] = [];

	constructor({ db }: Index) {
		this.#find = db.prepare('SELECT id FROM nodes WHERE parent = ? AND name = ?').pluck();
		this.#add = db.prepare('INSERT INTO nodes (parent, name) VALUES (?, ?)');
		this.#above = db.prepare('SELECT parent, name FROM nodes WHERE id = ?');
	}

	/**
	 * The node of a path, made when it is new.
	 * @throws DamageError for names that no file can have: they would lead out of the tree
	 */
	of(path: Buffer): number {
		if (path.length === 0) return ROOT_NODE;
		const names = split(path);
		let depth = 0;
		while (depth < names.length && this.#names[depth]?.equals(names[depth] as Buffer)) depth++;
		this.#names.length = depth;
		this.#ids.length = depth;
		for (; depth < names.length; depth++) {
			const name = names[depth] as Buffer;
			if (name.length === 0 || isDots(name) || name.includes(0)) {
				throw new DamageError(
					`A backup holds a path that no file can have: ${JSON.stringify(path.toString())}`,
				);
			}
			const parent = this.#ids[depth - 1] ?? ROOT_NODE;
			let id = this.#find.get(parent, name) as number | undefined;
			id ??= Number(this.#add.run(parent, name).lastInsertRowid);
			this.#names.push(name);
			this.#ids.push(id);
		}
		return this.#ids[depth - 1] as number;
	}

	/** The path of a node, relative to the source. */
	path(node: number): Buffer {
		const names: Buffer[] = [];
		for (let id = node; id !== ROOT_NODE; ) {
			const row = this.#above.get(id) as { parent: number; name: Buffer } | undefined;
			if (!row) throw new DamageError('The index holds an entry without a path: run `tsdup index rebuild`.');
			names.unshift(row.name, SLASH);
			id = row.parent;
		}
		return Buffer.concat(names.slice(0, -1));
	}
}

const SLASH = Buffer.from('/');

function split(path: Buffer): Buffer[] {
	const names: Buffer[] = [];
	let start = 0;
	for (let slash = path.indexOf(47); slash >= 0; slash = path.indexOf(47, start)) {
		names.push(path.subarray(start, slash));
		start = slash + 1;
	}
	names.push(path.subarray(start));
	return names;
}

function isDots(name: Buffer): boolean {
	return name.equals(Buffer.from('.')) || name.equals(Buffer.from('..'));
}
