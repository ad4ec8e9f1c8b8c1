/**
 * Opens a collection for reading: index in step with the target, content through the caches. Writes nothing to the
 * target.
 */
import { join } from 'node:path';
import type { Access } from '../collection/access.js';
import { BlockCache } from '../content/blocks.js';
import { Content } from '../content/content.js';
import { Index } from '../index/index.js';
import { checkPassphrase } from '../index/passphrase.js';
import { type Synced, sync } from '../index/sync.js';
import { FolderTarget } from '../target/file.js';
import { Snapshots } from './snapshots.js';

/** Bytes of the cache of blocks on disk. */
const BLOCKS_LIMIT = 2 ** 30;

export interface OpenCollection extends Synced {
	readonly snapshots: Snapshots;
	close(): void;
}

/** @throws KeyError when the passphrase or key is wrong; TargetError */
export async function openSnapshots({
	target,
	opener,
	cacheDir,
	encrypted,
}: Access): Promise<OpenCollection> {
	const index = new Index(join(cacheDir, 'index.sqlite'));
	try {
		const pending = new FolderTarget(join(cacheDir, 'pending'));
		const synced = await sync({ index, target, opener, pending, withoutKeys: false, encrypted });
		await checkPassphrase(index, opener);
		const blocks = new BlockCache(join(cacheDir, 'frames'), BLOCKS_LIMIT);
		const content = new Content(target, blocks, (id) => index.volume(id));
		return { ...synced, snapshots: new Snapshots(index, content), close: () => index.close() };
	} catch (error) {
		index.close();
		throw error;
	}
}
