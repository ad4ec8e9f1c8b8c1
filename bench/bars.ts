/** What tsdup promises of its speed. A bar that is missed is said, and is no failure. */
import { IN_SMALL } from './many-files.js';
import { IN_FOLDER } from './remote.js';
import { type CaseName, type Metric, ratios, type Sample, spread, values } from './samples.js';

const MB = 1_000_000;
const MIB = 2 ** 20;
const PEERS = ['duplicity', 'restic', 'borg'];

interface Bar {
	readonly words: string;
	readonly caseName: CaseName;
	readonly metric: Metric;
	/** The most that meets it: a ratio, or an amount. */
	readonly limit: number;
	/** Of a ratio: to the least of these tools' in the same round. Of an amount: what one unit of the limit is. */
	readonly to: readonly string[] | number;
}

const BARS: readonly Bar[] = [
	ratio('full backup, time', 'full', 'seconds', 0.8, 'restic'),
	ratio('full backup, time', 'full', 'seconds', 0.3, 'duplicity'),
	ratio('nothing changed, time', 'unchanged', 'seconds', 0.35, 'restic'),
	ratio('after an edit, time', 'edited', 'seconds', 0.5, ...PEERS),
	ratio('after an edit, size', 'edited', 'storedBytes', 1.05, 'duplicity'),
	ratio('full backup, size', 'full', 'storedBytes', 1.02, 'duplicity'),
	memory('full backup', 'full'),
	memory('nothing changed', 'unchanged'),
	memory('after an edit', 'edited'),
	memory('a million tiny files, full', 'millionFull'),
	memory('a million tiny files, nothing changed', 'millionUnchanged'),
	memory('a sparse file of 20 GB', 'sparseFull'),
	ratio('full backup to an S3 server, time', 'nearFull', 'seconds', 1.15, IN_FOLDER),
	seconds('20 ms away: mount from nothing', 'farMount', 3),
	seconds('20 ms away: the first file', 'farCat', 0.3),
	ratio('20 ms away: the image, time', 'farImage', 'seconds', 0.2, 'restic'),
	seconds('a million files, mount', 'filesMount', 1),
	ratio('a folder of 100,000 files, time', 'filesFolder', 'seconds', 1.2, IN_SMALL),
	{
		// 200 MB, and the 64 MiB that decoded frames may take.
		words: 'a million files, memory of the mount, MB',
		caseName: 'filesFind',
		metric: 'peakBytes',
		limit: 267,
		to: MB,
	},
	{
		words: 'one small file, read besides the index, MiB',
		caseName: 'cat',
		metric: 'readBytes',
		limit: 3,
		to: MIB,
	},
	ratio('`find` on a fresh mount, time', 'findCold', 'seconds', 0.12, 'restic'),
	ratio('the same again, time', 'findWarm', 'seconds', 0.15, 'restic'),
	ratio('`cat` of one file from a fresh mount, time', 'freshCat', 'seconds', 0.05, 'duplicity'),
	ratio('the image through a fresh mount, time', 'image', 'seconds', 0.33, 'restic', 'borg'),
	ratio('`tar` of a folder on a fresh mount, time', 'tar', 'seconds', 0.7, 'restic', 'borg'),
	ratio('`grep -r` of a folder on a fresh mount, time', 'grep', 'seconds', 0.7, 'restic', 'borg'),
	ratio('the whole tree from a fresh mount, time', 'copy', 'seconds', 1, 'restic'),
	foreign("duplicity's collection: names", 'foreignNames', 0.5),
	foreign("duplicity's collection: one file", 'foreignCat', 0.6),
	foreign("duplicity's collection: the next file", 'foreignNext', 0.05),
	foreign("duplicity's collection: all sizes", 'foreignSizes', 0.5),
	foreign("duplicity's collection: the whole tree", 'foreignTree', 0.6),
];

function seconds(words: string, caseName: CaseName, limit: number): Bar {
	return { words: `${words}, s`, caseName, metric: 'seconds', limit, to: 1 };
}

function ratio(words: string, caseName: CaseName, metric: Metric, limit: number, ...to: string[]): Bar {
	const other = to.length > 1 ? `the least of ${to.join(', ')}` : to.join();
	return { words: `${words} ÷ ${other}`, caseName, metric, limit, to };
}

function memory(words: string, caseName: CaseName): Bar {
	return { words: `${words}, peak memory, MB`, caseName, metric: 'peakBytes', limit: 300, to: MB };
}

function foreign(words: string, caseName: CaseName, limit: number): Bar {
	return ratio(`${words}, time`, caseName, 'seconds', limit, 'duplicity');
}

/** A line for each bar. */
export function bars(samples: readonly Sample[]): string {
	return BARS.map((bar) => `- ${line(samples, bar)}\n`).join('');
}

function line(samples: readonly Sample[], { words, caseName, metric, limit, to }: Bar): string {
	const found =
		typeof to === 'number'
			? values(samples, caseName, 'tsdup', metric).map((value) => value / to)
			: worst(to.map((peer) => ratios(samples, caseName, 'tsdup', metric, peer)));
	if (found.length === 0) return `not measured: ${words}`;
	const { median } = spread(found);
	return `${median <= limit ? 'met' : 'missed'}: ${words}: ${median.toFixed(2)} (at most ${limit})`;
}

/** The ratio to the least of several is the largest of the ratios to each; rounds are in the same order in all of them. */
function worst(byPeer: readonly number[][]): number[] {
	const measured = byPeer.filter((ofPeer) => ofPeer.length > 0);
	return (measured[0] ?? []).map((_, round) => Math.max(...measured.map((ofPeer) => ofPeer[round] ?? 0)));
}
