/** What tsdup's mount costs, on the collection that a round's backups made. */
import { readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { Round } from './backups.js';
import { requireSame } from './folder.js';
import { measure, run } from './run.js';
import type { CaseName, Figures } from './samples.js';
import type { Tsdup } from './tools/tsdup.js';
import { readTrace } from './trace.js';

const FIND = ['-type', 'f', '-size', '+100k'];

export async function measureMounts(round: Round, tsdup: Tsdup): Promise<void> {
	const record = (caseName: CaseName, figures: Figures) =>
		round.record({ caseName, tool: tsdup.name, round: round.number, figures });
	record('cat', await coldCat(round, tsdup));
	const ready = await mounted(tsdup, async (ready) => {
		record('findCold', await find(round, tsdup));
		record('findWarm', await find(round, tsdup));
		return ready;
	});
	record('mount', ready);
	// The image's frames are in the cache of blocks of none of the mounts before.
	await mounted(tsdup, async () => record('image', await readImage(round, tsdup)));
}

/** From the mount command to the file's bytes, and what of the target was read for them. */
async function coldCat({ tree }: Round, tsdup: Tsdup): Promise<Figures> {
	await tsdup.dropCaches();
	await rm(tsdup.trace, { force: true });
	const started = performance.now();
	return mounted(tsdup, async () => {
		const bytes = await readFile(join(tsdup.mountpoint, 'latest', tree.untouched.path));
		const seconds = (performance.now() - started) / 1000;
		if (!bytes.equals(await readFile(join(tree.root, tree.untouched.path)))) {
			throw new Error(`Wrong result: ${tree.untouched.path} differs in the mount.`);
		}
		return { seconds, ...(await readTrace(tsdup.trace, tsdup.target)) };
	});
}

async function find({ tree }: Round, tsdup: Tsdup): Promise<Figures> {
	const started = performance.now();
	const found = await run('find', [`${join(tsdup.mountpoint, 'latest')}/`, ...FIND, '-printf', '%P\\n']);
	const seconds = (performance.now() - started) / 1000;
	const expected = await run('find', [`${tree.root}/`, ...FIND, '-printf', '%P\\n']);
	if (sortedLines(found) !== sortedLines(expected)) {
		throw new Error('Wrong result: find does not see in the mount what it sees in the tree.');
	}
	return { seconds };
}

async function readImage({ tree }: Round, tsdup: Tsdup): Promise<Figures> {
	const path = join(tsdup.mountpoint, 'latest', tree.image.path);
	const started = performance.now();
	await run('cp', [path, '/dev/null']);
	const seconds = (performance.now() - started) / 1000;
	await requireSame(path, join(tree.root, tree.image.path));
	return { seconds, perSecond: tree.image.size / seconds };
}

/** @param use is given what the mount command cost until it returned */
async function mounted<T>(tsdup: Tsdup, use: (ready: Figures) => Promise<T>): Promise<T> {
	const { seconds } = await measure(tsdup.mount());
	try {
		return await use({ seconds });
	} finally {
		await measure(tsdup.umount());
	}
}

function sortedLines(text: string): string {
	return text.split('\n').sort().join('\n');
}
