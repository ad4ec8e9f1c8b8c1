/**
 * What an S3 server costs: radosgw on this machine, directly for backups, behind a proxy that lets each request wait as if it were far
 * away for mounts. tsdup beside itself with a folder, and beside restic's mount.
 */
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { startRadosgw } from '../test/radosgw.js';
import { startS3Proxy } from '../test/s3-proxy.js';
import { requireSame } from './folder.js';
import { mounted, readImage, timed } from './mounts.js';
import { measure, run } from './run.js';
import type { CaseName, Figures, Part } from './samples.js';
import { Restic } from './tools/restic.js';
import type { Bucket } from './tools/tool.js';
import { Tsdup } from './tools/tsdup.js';
import { freshTree } from './tree.js';

/** As the tables name tsdup with a folder as target. */
export const IN_FOLDER = 'tsdup, to a folder';

/** Milliseconds that each request waits. */
const DELAY = 20;

export async function measureRemote({ number, size, work, dir, record }: Part): Promise<void> {
	const tree = await freshTree(work, size, join(dir, 'source'));
	const note = (caseName: CaseName, tool: string, figures: Figures) =>
		record({ caseName, tool, round: number, figures });
	const server = await startRadosgw();
	const proxy = await startS3Proxy(server.endpoint, () => ({ delay: DELAY }));
	const near = { ...server, name: 'bench' };
	const far = { ...near, endpoint: proxy.endpoint };
	const tsdup = async (name: string, bucket?: Bucket) => {
		await mkdir(join(dir, name));
		const tool = new Tsdup(join(dir, name), tree.root, bucket);
		await tool.prepare();
		return tool;
	};
	try {
		await server.createBucket(near.name);
		note('nearFull', IN_FOLDER, await measure((await tsdup('folder')).backup()));
		note('nearFull', 'tsdup', await measure((await tsdup('near', near)).backup()));
		const mounting = await tsdup('far', far);
		await mounted(mounting, async (ready) => {
			note('farMount', 'tsdup', ready);
			const file = join(mounting.newest, tree.untouched.path);
			note('farCat', 'tsdup', await timed(() => run('cat', [file])));
			await requireSame(file, join(tree.root, tree.untouched.path));
		});
		await mounted(mounting, async () => note('farImage', 'tsdup', await readImage(tree, mounting)));
		await mkdir(join(dir, 'restic'));
		const writing = new Restic(join(dir, 'restic'), tree.root, near);
		await writing.prepare();
		await measure(writing.backup());
		const peer = new Restic(join(dir, 'restic'), tree.root, far);
		await mounted(peer, async () => note('farImage', peer.name, await readImage(tree, peer)));
	} finally {
		proxy.stop();
		await server.stop();
	}
}
