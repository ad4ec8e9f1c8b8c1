/**
 * Opens a collection for reading: index in step with the target, content through the caches. Writes nothing to the
 * target.
 */
import { statSync } from 'node:fs';
import { join } from 'node:path';
import type { Access } from '../collection/access.js';
import { type IndexingProgress, indexAll } from '../content/indexing.js';
import { openContent } from '../content/open.js';
import type { Resolver } from '../content/resolver.js';
import { Index } from '../index/index.js';
import { checkPassphrase } from '../index/passphrase.js';
import { listingOf, type Synced, sync } from '../index/sync.js';
import type { Listener } from '../index/take-in.js';
import { FolderTarget } from '../target/file.js';
import { Snapshots } from './snapshots.js';

/** Bytes of the cache of blocks on disk, where nothing else is said. */
const BLOCKS_LIMIT = 2 ** 30;

export interface OpenCollection extends Synced {
	/** For what asks more than snapshots tell. */
	readonly index: Index;
	readonly resolver: Resolver;
	readonly snapshots: Snapshots;
	/** The target's listing as it is now, in brief, as `listing` is that of the opening. @throws TargetError */
	currentListing(): Promise<string>;
	/** The same of the index as it is now: after `index rebuild`, or when the cache was deleted, it is another file. The former goes on working. */
	reopened(): Snapshots | null;
	/** Learns all sizes ahead of time. @returns what could not be read, and why. @throws KeyError, TargetError */
	learnSizes(progress: (state: IndexingProgress) => void): Promise<string[]>;
	close(): void;
}

/**
 * @param blocksLimit bytes that the cache of blocks on disk is kept to
 * @throws KeyError when the passphrase or key is wrong; TargetError
 */
export async function openSnapshots(
	access: Access,
	listener: Listener,
	blocksLimit: number = BLOCKS_LIMIT,
): Promise<OpenCollection> {
	const { target, nameForms, opener, cacheDir, encrypted } = access;
	const path = join(cacheDir, 'index.sqlite');
	const index = new Index(path);
	let file = fileAt(path);
	try {
		const pending = new FolderTarget(join(cacheDir, 'pending'));
		const options = { index, target, nameForms, opener, pending, encrypted, listener };
		const synced = await sync({ ...options, withoutKeys: false });
		await checkPassphrase(index, opener);
		const show = (from: Index) => {
			const { content, resolver } = openContent(from, { target, opener, cacheDir }, blocksLimit);
			return { index: from, resolver, snapshots: new Snapshots(from, content, resolver) };
		};
		return {
			...synced,
			...show(index),
			currentListing: async () => listingOf(await target.list()),
			reopened: () => {
				const now = fileAt(path);
				if (now === undefined || now === file) return null;
				file = now;
				return show(new Index(path)).snapshots;
			},
			learnSizes: (progress) => indexAll(index, { target, opener }, progress),
			close: () => index.close(),
		};
	} catch (error) {
		index.close();
		throw error;
	}
}

/** Which file stands at `path`; undefined when there is none. */
function fileAt(path: string): bigint | undefined {
	return statSync(path, { bigint: true, throwIfNoEntry: false })?.ino;
}
