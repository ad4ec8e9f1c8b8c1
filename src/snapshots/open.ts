/**
 * Opens a collection for reading: index in step with the target, content through the caches. Writes nothing to the
 * target.
 */
import { join } from 'node:path';
import type { Access } from '../collection/access.js';
import { type IndexingProgress, indexAll } from '../content/indexing.js';
import { openContent } from '../content/open.js';
import { Index } from '../index/index.js';
import { checkPassphrase } from '../index/passphrase.js';
import { type Synced, sync } from '../index/sync.js';
import { FolderTarget } from '../target/file.js';
import { Snapshots } from './snapshots.js';

/** Bytes of the cache of blocks on disk. */
const BLOCKS_LIMIT = 2 ** 30;

export interface OpenCollection extends Synced {
	readonly snapshots: Snapshots;
	/** Learns all sizes ahead of time. @returns what could not be read, and why. @throws KeyError, TargetError */
	learnSizes(progress: (state: IndexingProgress) => void): Promise<string[]>;
	close(): void;
}

/** @param note told what is lost but can be done without. @throws KeyError when the passphrase or key is wrong; TargetError */
export async function openSnapshots(
	access: Access,
	note: (message: string) => void,
): Promise<OpenCollection> {
	const { target, nameForms, opener, cacheDir, encrypted } = access;
	const index = new Index(join(cacheDir, 'index.sqlite'));
	try {
		const pending = new FolderTarget(join(cacheDir, 'pending'));
		const options = { index, target, nameForms, opener, pending, encrypted, note };
		const synced = await sync({ ...options, withoutKeys: false });
		await checkPassphrase(index, opener);
		const { content, resolver } = openContent(index, { target, opener, cacheDir }, BLOCKS_LIMIT);
		return {
			...synced,
			snapshots: new Snapshots(index, content, resolver),
			learnSizes: (progress) => indexAll(index, { target, opener }, progress),
			close: () => index.close(),
		};
	} catch (error) {
		index.close();
		throw error;
	}
}
