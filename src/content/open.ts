/** Puts together what reads a collection's content. */
import { join } from 'node:path';
import type { Access } from '../collection/access.js';
import type { Index } from '../index/index.js';
import { BlockCache } from './blocks.js';
import { Content } from './content.js';
import { ForeignObjects } from './foreign.js';
import { Frames } from './frames.js';
import { Resolver } from './resolver.js';

/**
 * @param limit bytes of the cache of blocks on disk; null keeps none
 */
export function openContent(
	index: Index,
	{ target, opener, cacheDir }: Pick<Access, 'target' | 'opener' | 'cacheDir'>,
	limit: number | null,
): { content: Content; resolver: Resolver } {
	// A folder is as near as the cache is.
	const keep = !target.url.startsWith('file:');
	const foreign = new ForeignObjects(join(cacheDir, 'volumes'), { index, target, opener, keep });
	const blocks = limit === null || !keep ? null : new BlockCache(join(cacheDir, 'frames'), limit);
	const content = new Content(new Frames({ index, target, blocks, foreign }), foreign);
	return { content, resolver: new Resolver(index, content, foreign) };
}
