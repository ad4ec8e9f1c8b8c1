/** Measures a program, and looks at what it has open meanwhile. */
import { readdirSync, readFileSync } from 'node:fs';
import { type Command, type Cost, measure } from './run.js';

/** Milliseconds between two looks. */
const LOOK = 100;

/** As `measure`; also counts the descriptors that the program has open at once, at most. */
export async function watch(command: Command): Promise<Cost & { handles: number }> {
	let handles = 0;
	const timer = setInterval(() => {
		for (const pid of childrenOf(process.pid).flatMap(childrenOf)) {
			handles = Math.max(handles, namesIn(`/proc/${pid}/fd`).length);
		}
	}, LOOK);
	try {
		const cost = await measure(command);
		return { ...cost, handles };
	} finally {
		clearInterval(timer);
	}
}

function childrenOf(pid: number): number[] {
	return namesIn(`/proc/${pid}/task`).flatMap((task) => {
		try {
			const children = readFileSync(`/proc/${pid}/task/${task}/children`, 'utf8');
			return children.split(' ').filter(Boolean).map(Number);
		} catch {
			return [];
		}
	});
}

/** None of a process that has ended. */
function namesIn(folder: string): string[] {
	try {
		return readdirSync(folder);
	} catch {
		return [];
	}
}
