/**
 * The folders that tsdup makes: the root, and with several collections one for each below it. In them are the snapshots, by name, and
 * `latest`. Names come and go here; `update` says which.
 */
import type { SnapshotSet } from '../index/entry.js';
import { ROOT_NODE } from '../index/entry.js';
import { type SnapshotName, snapshotNames } from '../snapshots/names.js';
import type { Snapshots } from '../snapshots/snapshots.js';
import { type Attributes, Errno, ROOT_INO } from './driver.js';
import { baseOf } from './inodes.js';

const FIRST_FOLDER_INO = 16;

/** A collection that is mounted, and how inode numbers name it. */
export interface Shown {
	/** Name of its folder, when several are mounted. */
	readonly name: string;
	snapshots: Snapshots;
	number: number;
}

export interface Name {
	readonly name: string;
	readonly ino: number;
	/** The snapshot whose folder this is, or which `latest` points to; null: a folder of tsdup's own. */
	readonly set: SnapshotSet | null;
}

/** What is gone from a folder, or means something else than before. */
export interface Changed {
	readonly folder: number;
	readonly names: readonly string[];
}

export class Folders {
	readonly #collections: readonly Shown[];
	readonly #namesStay: boolean;
	readonly #names = new Map<Shown, Map<string, Name>>();
	/** When a folder changed last while mounted, seconds: by its mtime kernels tell whether the listing that they keep is still good. */
	readonly #changed = new Map<Shown, number>();

	/** @param namesStay a name that stood for a folder is never given to another one */
	constructor(collections: readonly Shown[], namesStay: boolean) {
		this.#collections = collections;
		this.#namesStay = namesStay;
		this.update();
	}

	/** The names in a folder. @throws Errno when there is no such folder */
	names(ino: number): ReadonlyMap<string, Name> {
		const folder = this.#at(ino);
		if (folder === undefined) throw new Errno('ENOTDIR');
		if (folder !== 'all') return this.#names.get(folder) ?? new Map();
		return new Map(
			this.#collections.map(({ name }, i) => [name, { name, ino: FIRST_FOLDER_INO + i, set: null }]),
		);
	}

	attributes(ino: number): Attributes {
		const folder = this.#at(ino);
		if (folder === undefined) throw new Errno('ENOENT');
		const newest =
			folder === 'all' ? undefined : (this.#changed.get(folder) ?? folder.snapshots.sets().at(-1)?.time);
		const mtime = Math.floor(newest ?? 0);
		const mtimeNs = Math.floor(((newest ?? 0) - mtime) * 1e9);
		return { ...OWN, ino, type: 'dir', mode: 0o755, nlink: 1, size: 0, allocated: 0, mtime, mtimeNs };
	}

	/** The symlink to a snapshot. */
	link(ino: number, collection: Shown, set: SnapshotSet): { target: Buffer; attributes: Attributes } {
		const named = [...(this.#names.get(collection) ?? [])].find(
			([name, entry]) => entry.set?.id === set.id && name !== LATEST,
		);
		if (!named) throw new Errno('ESTALE');
		const target = Buffer.from(named[0]);
		const size = target.length;
		return {
			target,
			attributes: {
				...OWN,
				...{
					ino,
					type: 'symlink',
					mode: 0o777,
					nlink: 1,
					size,
					allocated: size,
					mtime: set.time,
					mtimeNs: 0,
				},
			},
		};
	}

	/** Names the snapshots that there are now. */
	update(): Changed[] {
		return this.#collections.flatMap((collection, i) => {
			const before = this.#names.get(collection);
			const now = this.#named(collection, before ?? new Map());
			this.#names.set(collection, now);
			if (!before) return [];
			const names = [...before.values()].flatMap(({ name, ino }) =>
				now.get(name)?.ino === ino ? [] : [name],
			);
			if (names.length === 0 && now.size === before.size) return [];
			this.#changed.set(collection, Date.now() / 1000);
			return [{ folder: this.#collections.length === 1 ? ROOT_INO : FIRST_FOLDER_INO + i, names }];
		});
	}

	#named({ snapshots, number }: Shown, before: ReadonlyMap<string, Name>): Map<string, Name> {
		const sets = snapshots.sets();
		const place = (set: SnapshotSet, alias: boolean) => baseOf({ collection: number, set: set.id, alias });
		const names = new Map<string, Name>();
		const add = ({ name, set, alias }: SnapshotName) => {
			if (!snapshots.root(set)) return;
			const ino = place(set, alias) + ROOT_NODE;
			const former = before.get(name);
			const keeps = this.#namesStay && former !== undefined && former.ino !== ino;
			if (!keeps) names.set(name, { name, ino, set });
			else if (sets.some(({ id }) => id === former.set?.id)) names.set(name, former);
		};
		for (const name of snapshotNames(sets)) add(name);
		const newest = [...names.values()].reduce<SnapshotSet | null>(
			(found, { set }) => (set && (!found || set.time > found.time) ? set : found),
			null,
		);
		if (newest) names.set(LATEST, { name: LATEST, ino: place(newest, false), set: newest });
		return names;
	}

	#at(ino: number): Shown | 'all' | undefined {
		if (ino === ROOT_INO) return this.#collections.length === 1 ? this.#collections[0] : 'all';
		return this.#collections.length === 1 ? undefined : this.#collections[ino - FIRST_FOLDER_INO];
	}
}

const LATEST = 'latest';

/** What folders and links that tsdup makes have in common. */
const OWN = {
	uid: process.getuid?.() ?? 0,
	gid: process.getgid?.() ?? 0,
	devMajor: 0,
	devMinor: 0,
	hasXattrs: false,
};
