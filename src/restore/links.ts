/** Files with several names: the first that comes is made, the others become links to it, which have its metadata, too. */
import { linkSync, lstatSync } from 'node:fs';
import type { Entry, SnapshotSet } from '../index/entry.js';
import type { Snapshots } from '../snapshots/snapshots.js';
import { partOf, removeOld, rename } from './part.js';
import { noteLoss, type RestoreReport } from './report.js';

interface FirstName {
	readonly path: Buffer;
	/** Whether it is there, when that is known. */
	readonly made: Promise<boolean>;
	/** How many names are still to come. */
	left: number;
}

export class Links {
	readonly #snapshots: Snapshots;
	readonly #set: SnapshotSet;
	readonly #report: RestoreReport;
	/** By the node that stands for the file. */
	readonly #first = new Map<number, FirstName>();

	constructor(snapshots: Snapshots, set: SnapshotSet, report: RestoreReport) {
		this.#snapshots = snapshots;
		this.#set = set;
		this.#report = report;
	}

	/** @param make makes a file of its own. @returns whether it is there now; so does `make` */
	async place(entry: Entry, path: Buffer, make: () => Promise<boolean>): Promise<boolean> {
		if (entry.hardLink === null) return make();
		const { names, first } = this.#snapshots.names(this.#set, entry);
		if (names === 1) return make();
		const before = this.#first.get(first);
		if (!before) {
			const made = make();
			this.#first.set(first, { path, made, left: names - 1 });
			return made;
		}
		before.left--;
		if (before.left === 0) this.#first.delete(first);
		return (await this.#link(before, entry, path)) || make();
	}

	/** @returns false when the system refuses, or there is nothing to link to: then it becomes a file of its own */
	async #link(first: FirstName, entry: Entry, path: Buffer): Promise<boolean> {
		if (!(await first.made.catch(() => false))) return false;
		try {
			const there = lstatSync(path, { throwIfNoEntry: false });
			const { dev, ino } = lstatSync(first.path);
			if (there?.dev === dev && there.ino === ino) this.#report.skipped++;
			else {
				const part = partOf(path, entry);
				removeOld(part);
				linkSync(first.path, part);
				rename(part, path);
			}
		} catch (error) {
			// A file system without hard links, or with a limit.
			noteLoss(this.#report, path, `is a file of its own: ${(error as Error).message}`);
			return false;
		}
		this.#report.entries++;
		return true;
	}
}
