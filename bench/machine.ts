/** What the figures were measured on. */
import { availableParallelism, cpus, loadavg, release, totalmem } from 'node:os';
import { run } from './run.js';
import { borg } from './tools/borg.js';
import { duplicity } from './tools/duplicity.js';
import { restic } from './tools/restic.js';
import type { ToolKind } from './tools/tool.js';
import { tsdup } from './tools/tsdup.js';

const ALL = [tsdup, duplicity, restic, borg];

export interface Found {
	/** Those that are installed. */
	readonly kinds: readonly ToolKind[];
	/** One line on each tool, also on those that are missing. */
	readonly versions: readonly string[];
}

export async function findTools(): Promise<Found> {
	const kinds: ToolKind[] = [];
	const versions: string[] = [];
	for (const kind of ALL) {
		const [program, ...args] = kind.version;
		try {
			const [version] = (await run(program, args)).trim().split('\n');
			versions.push(version?.startsWith(kind.name) ? version : `${kind.name} ${version}`);
			kinds.push(kind);
		} catch (error) {
			if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
			versions.push(`${kind.name} is missing: install Debian's package ${kind.package} to compare with it`);
		}
	}
	return { kinds, versions };
}

export function machine(): string {
	const [cpu] = cpus();
	const memory = Math.round(totalmem() / 2 ** 30);
	return `${availableParallelism()} × ${cpu?.model}, ${memory} GiB, Linux ${release()}, Node ${process.versions.node}`;
}

/** Processes that wanted to run, over the last minute: more than the machine has cores spoils the figures. */
export function load(): string {
	return (loadavg()[0] as number).toFixed(1);
}
