/** What the mounts cost of those tools that have one, on the collections that a round's backups made. */
import { existsSync } from 'node:fs';
import { access, mkdir, mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Round } from './backups.js';
import { requireSame } from './folder.js';
import { measure, run, start } from './run.js';
import type { CaseName, Figures } from './samples.js';
import { canMount, type MountingTool } from './tools/tool.js';
import { Tsdup } from './tools/tsdup.js';
import { readTrace } from './trace.js';
import type { Tree } from './tree.js';

const FIND = ['-type', 'f', '-size', '+100k'];
const SOURCES = 'linux-source-6.1';

export async function measureMounts(round: Round): Promise<void> {
	for (const tool of round.tools) {
		if (tool instanceof Tsdup) note(round, tool, 'cat', await coldCat(round, tool));
		if (canMount(tool)) await measureMount(round, tool);
	}
}

function note({ number, record }: Round, tool: MountingTool, caseName: CaseName, figures: Figures): void {
	record({ caseName, tool: tool.name, round: number, figures });
}

async function measureMount(round: Round, tool: MountingTool): Promise<void> {
	const { tree } = round;
	const ready = await mounted(tool, async (ready) => {
		note(round, tool, 'findCold', await find(round, tool));
		note(round, tool, 'findWarm', await find(round, tool));
		return ready;
	});
	if (tool instanceof Tsdup) {
		note(round, tool, 'mount', ready);
		const file = join(tool.newest, tree.untouched.path);
		await mounted(tool, async () => note(round, tool, 'freshCat', await timed(() => run('cat', [file]))));
	}
	// What each of these reads was read by none before.
	await mounted(tool, async () => note(round, tool, 'image', await readImage(tree, tool)));
	const at = join(tool.newest, SOURCES);
	await mounted(tool, async () => {
		note(
			round,
			tool,
			'tar',
			await timed(() => run('sh', ['-c', 'tar cf - "$0" | cat >/dev/null', join(at, 'Documentation')])),
		);
	});
	if (existsSync(join(tree.root, SOURCES, 'kernel'))) {
		await mounted(tool, async () => {
			note(
				round,
				tool,
				'grep',
				await timed(() => run('grep', ['-rc', '--include=*', 'EXPORT_SYMBOL', join(at, 'kernel')])),
			);
		});
	}
	await measureCopy(round, tool);
}

/** To memory, where there is some: this is not about the disk. */
async function measureCopy(round: Round, tool: MountingTool): Promise<void> {
	const scratch = await mkdtemp(join(existsSync('/dev/shm') ? '/dev/shm' : tmpdir(), 'tsdup-bench-'));
	try {
		const copy = join(scratch, 'copy');
		if (tool instanceof Tsdup) {
			await mounted(tool, async () =>
				note(round, tool, 'copy', await timed(() => run('cp', ['-a', `${tool.newest}/`, copy]))),
			);
			await run('diff', ['-r', '--no-dereference', round.tree.root, copy]);
		} else {
			await mkdir(copy);
			note(round, tool, 'copy', await measure(tool.restore(copy)));
		}
	} finally {
		await rm(scratch, { recursive: true });
	}
}

/** From the mount command to the file's bytes, and what of the target was read for them. */
async function coldCat({ tree }: Round, tsdup: Tsdup): Promise<Figures> {
	await tsdup.dropCaches();
	await rm(tsdup.trace, { force: true });
	const started = performance.now();
	return mounted(tsdup, async () => {
		const bytes = await readFile(join(tsdup.newest, tree.untouched.path));
		const seconds = (performance.now() - started) / 1000;
		if (!bytes.equals(await readFile(join(tree.root, tree.untouched.path)))) {
			throw new Error(`Wrong result: ${tree.untouched.path} differs in the mount.`);
		}
		return { seconds, ...(await readTrace(tsdup.trace, tsdup.target)) };
	});
}

async function find({ tree }: Round, tool: MountingTool): Promise<Figures> {
	const started = performance.now();
	const found = await run('find', [`${tool.newest}/`, ...FIND, '-printf', '%P\\n']);
	const seconds = (performance.now() - started) / 1000;
	const expected = await run('find', [`${tree.root}/`, ...FIND, '-printf', '%P\\n']);
	if (sortedLines(found) !== sortedLines(expected)) {
		throw new Error(`Wrong result: find does not see in the mount of ${tool.name} what it sees in the tree.`);
	}
	return { seconds };
}

export async function readImage(tree: Tree, tool: MountingTool): Promise<Figures> {
	const path = join(tool.newest, tree.image.path);
	const { seconds } = await timed(() => run('cp', [path, '/dev/null']));
	await requireSame(path, join(tree.root, tree.image.path));
	return { seconds, perSecond: tree.image.size / seconds };
}

export async function timed(act: () => Promise<unknown>): Promise<{ seconds: number }> {
	const started = performance.now();
	await act();
	return { seconds: (performance.now() - started) / 1000 };
}

/** @param use is given what the mount command cost until it returned, if it does */
export async function mounted<T>(tool: MountingTool, use: (ready: Figures) => Promise<T>): Promise<T> {
	const server = tool.staysToServe ? start(tool.mount()) : null;
	const ready = server ? {} : { seconds: (await measure(tool.mount())).seconds };
	try {
		// Not by a call that blocks: the proxy that a mount may ask is in this process.
		while (!(await isThere(tool.newest))) await sleep(50);
		return await use(ready);
	} finally {
		if (server) await server.stop();
		else await measure(tool.umount());
	}
}

function isThere(path: string): Promise<boolean> {
	return access(path).then(
		() => true,
		() => false,
	);
}

function sortedLines(text: string): string {
	return text.split('\n').sort().join('\n');
}
