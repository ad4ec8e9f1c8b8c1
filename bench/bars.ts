/** What tsdup promises of its speed. A bar that is missed is said, and is no failure. */
import { type CaseName, type Metric, ratios, type Sample, spread, values } from './samples.js';
import { BASE } from './table.js';

const MIB = 2 ** 20;

interface Bar {
	readonly words: string;
	readonly caseName: CaseName;
	readonly metric: Metric;
	/** The most that meets it: a ratio to duplicity, or an amount. */
	readonly limit: number;
	/** Of an amount: what one unit of the limit is. Absent: a ratio. */
	readonly unit?: number;
}

const BARS: readonly Bar[] = [
	{ words: 'full backup, time ÷ duplicity', caseName: 'full', metric: 'seconds', limit: 0.7 },
	{ words: 'nothing changed, time ÷ duplicity', caseName: 'unchanged', metric: 'seconds', limit: 0.7 },
	{ words: 'full backup, size ÷ duplicity', caseName: 'full', metric: 'storedBytes', limit: 1.03 },
	{
		words: 'one small file, read besides the index, MiB',
		caseName: 'cat',
		metric: 'readBytes',
		limit: 3,
		unit: MIB,
	},
	foreign("duplicity's collection: names", 'foreignNames', 0.5),
	foreign("duplicity's collection: one file", 'foreignCat', 0.6),
	foreign("duplicity's collection: the next file", 'foreignNext', 0.05),
	foreign("duplicity's collection: all sizes", 'foreignSizes', 0.5),
	foreign("duplicity's collection: the whole tree", 'foreignTree', 0.6),
];

function foreign(words: string, caseName: CaseName, limit: number): Bar {
	return { words: `${words}, time ÷ duplicity`, caseName, metric: 'seconds', limit };
}

/** A line for each bar. */
export function bars(samples: readonly Sample[]): string {
	return BARS.map((bar) => `- ${line(samples, bar)}\n`).join('');
}

function line(samples: readonly Sample[], { words, caseName, metric, limit, unit }: Bar): string {
	const found =
		unit === undefined
			? ratios(samples, caseName, 'tsdup', metric, BASE)
			: values(samples, caseName, 'tsdup', metric).map((value) => value / unit);
	if (found.length === 0) return `not measured: ${words}`;
	const { median } = spread(found);
	return `${median <= limit ? 'met' : 'missed'}: ${words}: ${median.toFixed(2)} (at most ${limit})`;
}
