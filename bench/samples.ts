/** What is measured. A case is a piece of work that every tool does once in each round. */
import type { Size } from './tree.js';

/** Units are in the names; `perSecond` is bytes per second. */
export type Metric =
	| 'seconds'
	| 'cpuSeconds'
	| 'peakBytes'
	| 'storedBytes'
	| 'readBytes'
	| 'indexBytes'
	| 'requests'
	| 'perSecond'
	| 'handles';

export type Figures = Readonly<Partial<Record<Metric, number>>>;

export const CASES = {
	full: 'Full backup',
	unchanged: 'Backup when nothing changed',
	edited: 'Backup after an edit',
	fetch: 'One small file, by command, with empty caches',
	cat: 'One small file, `mount` and `cat`, with empty caches',
	mount: '`mount` until it can be listed, index at hand',
	freshCat: 'One small file by `cat` from a fresh mount; by command, with empty caches',
	findCold: '`find -type f -size +100k` on a fresh mount',
	findWarm: 'the same `find` again',
	image: 'The large image, read through a fresh mount',
	tar: '`tar` of the folder Documentation on a fresh mount',
	grep: '`grep -r` in the folder kernel on a fresh mount',
	copy: 'The whole tree: `cp -a` from a fresh mount of tsdup; `restic restore`, `borg extract`',
	foreignNames: "A collection of duplicity's, from nothing: `mount` and `find`; `list-current-files`",
	foreignCat: 'The same: `mount` and `cat` of one file; `restore --file-to-restore`',
	foreignNext: 'The same: `cat` of the next file; `restore --file-to-restore`',
	foreignSizes: 'The same: `mount` and `ls -lR`; `restore` of everything',
	foreignTree: 'The same: `mount` and `cp -a`; `restore` of everything',
	nearFull: 'Full backup to an S3 server on the same machine; to a folder',
	farMount: 'An S3 server whose every answer takes 20 ms more: `mount` from nothing until it can be listed',
	farCat: 'The same: the first file that is read then',
	farImage: 'The same: the large image, read through a fresh mount',
	filesIndex: 'A million files in 365 snapshots: `mount` from nothing, all segments are read',
	filesMount: 'The same: `mount` until it can be listed, index at hand',
	filesFolder: 'The same: `find -size` in a folder of 100,000 files on a fresh mount',
	filesFind: 'The same: `find -size` over the newest snapshot on a fresh mount; memory is that of the mount',
	millionFull: 'A million tiny files, full backup',
	millionUnchanged: 'The same, nothing changed',
	sparseFull: 'One sparse file of 20 GB, full backup',
} as const;

export type CaseName = keyof typeof CASES;

export interface Sample {
	readonly caseName: CaseName;
	readonly tool: string;
	/** From 0. */
	readonly round: number;
	readonly figures: Figures;
}

/** A round of what is measured by itself. */
export interface Part {
	/** From 0. */
	readonly number: number;
	readonly size: Size;
	/** Where the pristine tree is kept. */
	readonly work: string;
	/** The round's own folder. */
	readonly dir: string;
	record(sample: Sample): void;
}

/** The median and what it lies between. */
export interface Spread {
	readonly median: number;
	readonly min: number;
	readonly max: number;
}

/** @param values at least one */
export function spread(values: readonly number[]): Spread {
	const sorted = [...values].sort((a, b) => a - b);
	const at = (place: number) => sorted[place] as number;
	const middle = (sorted.length - 1) / 2;
	return {
		median: (at(Math.floor(middle)) + at(Math.ceil(middle))) / 2,
		min: at(0),
		max: at(sorted.length - 1),
	};
}

/** A tool's figures over the rounds; empty when it has none. */
export function values(
	samples: readonly Sample[],
	caseName: CaseName,
	tool: string,
	metric: Metric,
): number[] {
	return samples
		.filter((sample) => sample.caseName === caseName && sample.tool === tool)
		.flatMap(({ figures }) => figures[metric] ?? []);
}

/** A tool's figures over another's of the same round. */
export function ratios(
	samples: readonly Sample[],
	caseName: CaseName,
	tool: string,
	metric: Metric,
	base: string,
): number[] {
	const bases = values(samples, caseName, base, metric);
	return values(samples, caseName, tool, metric).flatMap((value, round) => {
		const other = bases[round];
		return other ? value / other : [];
	});
}
