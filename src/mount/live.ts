/**
 * Keeps a mount in step with its collections, without ever letting anybody wait for the network: new snapshots appear, those that are
 * gone disappear. What another process of this machine took into the index shows at the next look at the mount's root; the target is
 * listed in the background, when somebody looks there, at most once in an interval, or when it is asked for.
 */
import type { Snapshots } from '../snapshots/snapshots.js';
import type { Mounted } from './driver.js';
import type { SnapshotFileSystem } from './filesystem.js';
import type { Changed } from './folders.js';

export interface LiveCollection {
	readonly name: string;
	/** What the target lists, in brief: another one when sets have come or gone. @throws TargetError */
	listing(): Promise<string>;
	/** Brings the index in step with the target; not in this process, which would not answer meanwhile. @throws TsdupError */
	update(): Promise<void>;
	/** The snapshots of another index, if the one that is shown is not the collection's any more. */
	reopened(): Snapshots | null;
}

export interface LiveOptions {
	/** Milliseconds between two looks at the targets. */
	readonly interval: number;
	readonly log: (message: string) => void;
}

export class Live {
	readonly #fs: SnapshotFileSystem;
	readonly #collections: readonly LiveCollection[];
	/** What each target listed when its index was brought in step last. */
	readonly #known: string[];
	readonly #options: LiveOptions;
	readonly #said = new Map<LiveCollection, string>();
	#mounted: Mounted | null = null;
	#last = performance.now();
	#running: Promise<void> | null = null;
	#again = false;

	/** @param known the listings that the collections were opened with, in the file system's order */
	constructor(
		fs: SnapshotFileSystem,
		collections: readonly LiveCollection[],
		known: readonly string[],
		options: LiveOptions,
	) {
		this.#fs = fs;
		this.#collections = collections;
		this.#known = [...known];
		this.#options = options;
	}

	/** From now on the kernel is told. */
	attach(mounted: Mounted): void {
		this.#mounted = mounted;
	}

	/** Somebody looks at a folder in which snapshots come and go. */
	look(): void {
		this.#show(this.#fs.refresh());
		if (!this.#running && performance.now() - this.#last >= this.#options.interval) void this.now();
	}

	/** Fulfilled when the mount shows what is on the targets now, or the log says why not. */
	now(): Promise<void> {
		if (this.#running) this.#again = true;
		else this.#running = this.#run();
		return this.#running;
	}

	async #run(): Promise<void> {
		do {
			this.#again = false;
			this.#last = performance.now();
			for (const i of this.#collections.keys()) await this.#follow(i);
		} while (this.#again);
		this.#running = null;
	}

	async #follow(i: number): Promise<void> {
		const collection = this.#collections[i] as LiveCollection;
		try {
			const listing = await collection.listing();
			if (listing !== this.#known[i]) {
				await collection.update();
				this.#known[i] = listing;
			}
			this.#said.delete(collection);
		} catch (error) {
			this.#sayOnce(collection, `cannot look for new snapshots: ${(error as Error).message}`);
		}
		const reopened = collection.reopened();
		const changed = reopened ? this.#fs.replace(i, reopened) : this.#fs.refresh();
		if (changed) this.#show(changed);
		else this.#sayOnce(collection, 'its index was built again too often: mount again to see new snapshots');
	}

	#show(changes: readonly Changed[]): void {
		for (const { folder, names } of changes) this.#mounted?.forget(folder, names);
	}

	/** A target that is away for long is no news each minute. */
	#sayOnce(collection: LiveCollection, message: string): void {
		if (this.#said.get(collection) === message) return;
		this.#said.set(collection, message);
		this.#options.log(`${collection.name}: ${message}`);
	}
}
