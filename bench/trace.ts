/** What tsdup asked of its target, from the file that TSDUP_TRACE names. */
import { readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { Figures } from './samples.js';

interface Request {
	readonly op: string;
	readonly name?: string;
	readonly length?: number;
}

/** @param target the folder: whole objects count with their size there */
export async function readTrace(file: string, target: string): Promise<Figures> {
	const requests = (await readFile(file, 'utf8'))
		.trimEnd()
		.split('\n')
		.map((line) => JSON.parse(line) as Request);
	let indexBytes = 0;
	let readBytes = 0;
	for (const { op, name, length } of requests) {
		if (name === undefined) continue;
		const bytes = op === 'stream' ? (await stat(join(target, name))).size : (length ?? 0);
		if (name.startsWith('tsdup-index.')) indexBytes += bytes;
		else readBytes += bytes;
	}
	return { requests: requests.length, indexBytes, readBytes };
}
