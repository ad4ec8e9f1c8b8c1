/** The backups of one round: all tools do the same work one after another, and each round another one begins. */
import { mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { requireSame, sizeOf } from './folder.js';
import { type Command, measure, run } from './run.js';
import type { CaseName, Sample } from './samples.js';
import { canMount, type Tool } from './tools/tool.js';
import { edit, type Size, type Tree } from './tree.js';

/** Set times in duplicity's format are whole seconds, and each backup needs its own. */
const BETWEEN_BACKUPS = 1100;

export interface Round {
	readonly number: number;
	readonly tree: Tree;
	readonly size: Size;
	/** In this round's order. */
	readonly tools: readonly Tool[];
	/** For what is fetched. */
	readonly scratch: string;
	record(sample: Sample): void;
}

/** Full, unchanged and edited backups, then one file back by each tool. The tools are prepared. */
export async function measureBackups(round: Round): Promise<void> {
	await eachTool(round, 'full', (tool) => backup(tool, 'full'));
	await eachTool(round, 'unchanged', (tool) => backup(tool, 'unchanged'));
	await edit(round.tree, round.size, `edit ${round.number}`);
	await eachTool(round, 'edited', (tool) => backup(tool, 'edited'));
	await rm(round.scratch, { recursive: true, force: true });
	await mkdir(round.scratch);
	await eachTool(round, 'fetch', (tool) => fetch(tool, round));
}

async function eachTool(
	{ number, tools, record }: Round,
	caseName: CaseName,
	work: (tool: Tool) => Promise<Sample['figures']>,
): Promise<void> {
	for (const tool of tools) {
		record({ caseName, tool: tool.name, round: number, figures: await work(tool) });
	}
}

async function backup(tool: Tool, label: string): Promise<Sample['figures']> {
	await settle();
	const before = label === 'full' ? 0 : await sizeOf(tool.target);
	const cost = await measure(tool.backup(label));
	return { ...cost, storedBytes: (await sizeOf(tool.target)) - before };
}

/** Both a file of the full backup and one that was edited must be right; the time is that of the first. */
async function fetch(tool: Tool, { tree, scratch, number, record }: Round): Promise<Sample['figures']> {
	await settle();
	const one = async (path: string, name: string) => {
		const destination = join(scratch, `${tool.name}-${name}`);
		const command: Command = await tool.fetch(path, destination);
		const cost = await measure(command);
		await requireSame(destination, join(tree.root, path));
		return cost;
	};
	const cost = await one(tree.untouched.path, 'untouched');
	await one(tree.edited.path, 'edited');
	// What a mount is compared with, where there is none.
	const { seconds } = cost;
	if (!canMount(tool)) record({ caseName: 'freshCat', tool: tool.name, round: number, figures: { seconds } });
	return cost;
}

/** What the tool before wrote goes to the disk on nobody's time. */
async function settle(): Promise<void> {
	await run('sync', []);
	await new Promise((resolve) => setTimeout(resolve, BETWEEN_BACKUPS));
}
