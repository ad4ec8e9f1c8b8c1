/**
 * What is hard by its size alone: a million tiny files, one sparse file of 20 GB, a mount of a million files in 365 snapshots. Only
 * tsdup, for its memory.
 */
import { mkdirSync, truncateSync, writeFileSync } from 'node:fs';
import { mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { sizeOf } from './folder.js';
import { measureManyFiles } from './many-files.js';
import type { CaseName, Part } from './samples.js';
import { Tsdup, tsdup } from './tools/tsdup.js';
import { watch } from './watch.js';

const FOLDERS = 1000;
const FILES = 1000;
const SPARSE_LENGTH = 20 * 10 ** 9;

export async function measureScale(part: Part): Promise<void> {
	const { number, dir, record } = part;
	const one = async (name: string, make: (source: string) => void, ...cases: CaseName[]) => {
		const source = join(dir, `source-${name}`);
		await mkdir(source);
		make(source);
		await mkdir(join(dir, name));
		const tool = new Tsdup(join(dir, name), source);
		await tool.prepare();
		for (const caseName of cases) {
			const before = caseName === cases[0] ? 0 : await sizeOf(tool.target);
			const cost = await watch(tool.backup());
			const storedBytes = (await sizeOf(tool.target)) - before;
			record({ caseName, tool: tsdup.name, round: number, figures: { ...cost, storedBytes } });
		}
		await rm(source, { recursive: true });
		await rm(join(dir, name), { recursive: true });
	};
	await measureManyFiles(part);
	await one('million', makeMillion, 'millionFull', 'millionUnchanged');
	await one('sparse', (source) => makeSparse(join(source, 'image')), 'sparseFull');
}

function makeMillion(source: string): void {
	for (let folder = 0; folder < FOLDERS; folder++) {
		const path = join(source, `folder-${folder}`);
		mkdirSync(path);
		for (let file = 0; file < FILES; file++) writeFileSync(join(path, `file-${file}`), `${folder} ${file}\n`);
	}
}

function makeSparse(path: string): void {
	writeFileSync(path, 'begin');
	truncateSync(path, SPARSE_LENGTH);
}
