/**
 * Measures tsdup against duplicity, restic and borg on the same work in the same run (docs/benchmarks.md):
 *
 *     npm run bench -- [--small] [--runs N] [--work DIR] [--write] [--foreign | --remote | --scale]
 *
 * With --foreign only collections that duplicity wrote, with --remote only an S3 server, with --scale only sources that are hard by
 * their size alone.
 * It fails when a result is wrong, never because a figure is slow.
 */
import { mkdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { measureBackups, type Round } from './backups.js';
import { bars } from './bars.js';
import { writeDocument } from './document.js';
import { measureForeign } from './foreign.js';
import { findTools, load, machine } from './machine.js';
import { measureMounts } from './mounts.js';
import { measureRemote } from './remote.js';
import { CASES, type Sample } from './samples.js';
import { measureScale } from './scale.js';
import { tables } from './table.js';
import type { ToolKind } from './tools/tool.js';
import { FULL, freshTree, SMALL, type Tree } from './tree.js';

/** What is measured only by itself. */
const PARTS = [
	['foreign', "collections of duplicity's", measureForeign],
	['remote', 'an S3 server', measureRemote],
	['scale', 'large sources', measureScale],
] as const;

const { values: options } = parseArgs({
	options: {
		small: { type: 'boolean', default: false },
		runs: { type: 'string' },
		work: { type: 'string', default: join(tmpdir(), 'tsdup-bench') },
		write: { type: 'boolean', default: false },
		foreign: { type: 'boolean', default: false },
		remote: { type: 'boolean', default: false },
		scale: { type: 'boolean', default: false },
	},
});
const size = options.small ? SMALL : FULL;
const runs = Number(options.runs ?? (options.small ? 1 : 3));
if (!Number.isInteger(runs) || runs < 1) throw new Error(`--runs ${options.runs}: give a number from 1.`);
const work = resolve(options.work);
await mkdir(work, { recursive: true });

const { kinds, versions } = await findTools();
const about = [machine(), ...versions];
for (const line of about) console.log(line);
const samples: Sample[] = [];
for (let number = 0; number < runs; number++) about.push(await oneRound(number, kinds));
const text = `${about.map((line) => `- ${line}\n`).join('')}\n${tables(samples)}\n**Bars**\n\n${bars(samples)}`;
console.log(`\n${text}`);
if (options.write) console.log(`Written to ${await writeDocument(text)}.`);

/** @returns a line about the round */
async function oneRound(number: number, kinds: readonly ToolKind[]): Promise<string> {
	const dir = join(work, `round-${size.name}`);
	await rm(dir, { recursive: true, force: true });
	await mkdir(dir);
	for (const [name, words, measurePart] of PARTS) {
		if (!options[name]) continue;
		const about = `round ${number + 1}, ${words}; load ${load()} before it`;
		console.log(about);
		await measurePart({ number, size, work, dir, record });
		await rm(dir, { recursive: true });
		return `${about}, ${load()} after it`;
	}
	const tree = await freshTree(work, size, join(dir, 'source'));
	const about = `round ${number + 1}: ${inWords(tree)}; load ${load()} before it`;
	console.log(about);
	const first = number % kinds.length;
	const tools = [...kinds.slice(first), ...kinds.slice(0, first)].map((kind) =>
		kind.make(join(dir, kind.name), tree.root),
	);
	const round: Round = { number, tree, size, tools, scratch: join(dir, 'scratch'), record };
	try {
		for (const tool of tools) await tool.prepare();
		await measureBackups(round);
		await measureMounts(round);
	} finally {
		for (const tool of tools) await tool.close();
	}
	await rm(dir, { recursive: true });
	return `${about}, ${load()} after it`;
}

function record(sample: Sample): void {
	samples.push(sample);
	const figures = Object.entries(sample.figures).map(([metric, value]) => `${metric} ${round3(value)}`);
	console.log(`  ${CASES[sample.caseName]}, ${sample.tool}: ${figures.join(', ')}`);
}

function round3(value: number): number {
	return Math.round(value * 1000) / 1000;
}

function inWords({ count, bytes }: Tree): string {
	return `${count} files, ${(bytes / 1e9).toFixed(2)} GB`;
}
