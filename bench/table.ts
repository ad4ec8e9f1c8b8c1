/** The figures as Markdown: a table for each case, a line for each tool, medians with what they lie between. */
import { CASES, type CaseName, type Metric, ratios, type Sample, spread, values } from './samples.js';

/** What the ratios are against. */
export const BASE = 'duplicity';

const MB = 1_000_000;

interface Column {
	readonly title: string;
	/** What one unit of the column is in the metric's. */
	readonly unit: number;
	readonly digits: number;
}

const COLUMNS: Readonly<Record<Metric, Column>> = {
	seconds: { title: 'time, s', unit: 1, digits: 2 },
	cpuSeconds: { title: 'CPU, s', unit: 1, digits: 2 },
	peakBytes: { title: 'peak memory, MB', unit: MB, digits: 0 },
	storedBytes: { title: 'added to the target, MB', unit: MB, digits: 2 },
	readBytes: { title: 'read besides the index, MB', unit: MB, digits: 2 },
	indexBytes: { title: 'index read, MB', unit: MB, digits: 2 },
	requests: { title: 'requests', unit: 1, digits: 0 },
	handles: { title: 'open files, at most', unit: 1, digits: 0 },
	perSecond: { title: 'MB/s', unit: MB, digits: 0 },
};

export function tables(samples: readonly Sample[]): string {
	return (Object.keys(CASES) as CaseName[])
		.map((caseName) => table(samples, caseName))
		.filter((text) => text !== '')
		.join('\n');
}

function table(samples: readonly Sample[], caseName: CaseName): string {
	const own = samples.filter((sample) => sample.caseName === caseName);
	const tools = [...new Set(own.map(({ tool }) => tool))].sort(inOrder);
	const metrics = (Object.keys(COLUMNS) as Metric[]).filter((metric) =>
		own.some(({ figures }) => figures[metric] !== undefined),
	);
	if (tools.length === 0) return '';
	const head = ['', ...metrics.map((metric) => COLUMNS[metric].title)];
	const lines = tools.map((tool) => [tool, ...metrics.map((metric) => cell(own, caseName, tool, metric))]);
	const rule = head.map((_, i) => (i === 0 ? ':--' : '--:'));
	const rows = [head, rule, ...lines].map((row) => `| ${row.join(' | ')} |\n`).join('');
	return `**${CASES[caseName]}**\n\n${rows}`;
}

/** `12.34 (12.01–13.20) ×0.45`; what lies between only where there are several rounds. */
function cell(samples: readonly Sample[], caseName: CaseName, tool: string, metric: Metric): string {
	const { unit, digits } = COLUMNS[metric];
	const found = values(samples, caseName, tool, metric);
	if (found.length === 0) return '';
	const { median, min, max } = spread(found);
	const show = (value: number) => (value / unit).toFixed(digits);
	const range = found.length > 1 ? ` (${show(min)}–${show(max)})` : '';
	const ratio = tool === BASE ? [] : ratios(samples, caseName, tool, metric, BASE);
	return show(median) + range + (ratio.length > 0 ? ` ×${spread(ratio).median.toFixed(2)}` : '');
}

const ORDER = ['tsdup', BASE];

function inOrder(a: string, b: string): number {
	const place = (tool: string) => (ORDER.includes(tool) ? ORDER.indexOf(tool) : ORDER.length);
	return place(a) - place(b);
}
