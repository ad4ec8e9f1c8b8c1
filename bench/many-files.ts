/**
 * A mount of a million files, a hundred thousand of them in one folder, in 365 snapshots. Nobody makes such backups for a benchmark:
 * the collection is only what a mount reads of one, the segments of its sets.
 */
import { once } from 'node:events';
import { createWriteStream } from 'node:fs';
import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { createGzip } from 'node:zlib';
import { manifestName, type SetName, segmentName, sigtarName, volumeName } from '../src/collection/names.js';
import type { Metadata } from '../src/index/entry.js';
import { volumeId } from '../src/index/extents.js';
import { formatLine, type SegmentLine } from '../src/index/segment.js';
import { FRAME_LENGTH } from '../src/volume/frame.js';
import { type Command, measure, run } from './run.js';
import type { Part } from './samples.js';
import { cleanEnvironment, makeHome } from './tools/tool.js';
import { SCRIPT, tsdup } from './tools/tsdup.js';

const SNAPSHOTS = 365;
const FOLDERS = 900;
const FILES = 1000;
/** In the folder `many`. */
const MANY = 100_000;
/** By each increment. */
const CHANGED = 100;
/** Bytes of each file. */
const SIZE = 1000;

/** Seconds. */
const FIRST = 1_700_000_000;
const DAY = 86_400;

export async function measureManyFiles({ number, dir, record }: Part): Promise<void> {
	const [target, at, home] = ['target', 'mnt', 'home'].map((name) => join(dir, `files-${name}`)) as [
		string,
		string,
		string,
	];
	for (const folder of [target, at]) await mkdir(folder);
	await makeHome(home);
	await writeCollection(target);
	const command = (...args: string[]): Command => ({
		program: process.execPath,
		args: [SCRIPT, ...args],
		env: cleanEnvironment(home),
	});
	/** @returns seconds until the mount was ready, and what came of `act` */
	const mounted = async <T>(act: () => Promise<T>): Promise<{ ready: number; result: T }> => {
		const { seconds: ready } = await measure(command('mount', '--target', `file://${target}`, at));
		try {
			return { ready, result: await act() };
		} finally {
			await measure(command('umount', at));
		}
	};
	const note = (
		caseName: 'filesIndex' | 'filesMount' | 'filesFind' | 'filesFolder',
		seconds: number,
		peakBytes?: number,
		tool: string = tsdup.name,
	) =>
		record({
			caseName,
			tool,
			round: number,
			figures: peakBytes === undefined ? { seconds } : { seconds, peakBytes },
		});
	const latest = `${join(at, 'latest')}/`;
	const found = (seconds: number, count: number, expected: number) => {
		if (count !== expected) throw new Error(`Wrong result: find sees ${count} files, not ${expected}.`);
		return seconds;
	};
	const find = async (expected: number, ...folders: string[]) => {
		const started = performance.now();
		const count = (await run('find', [...folders, '-type', 'f', '-size', '-100k', '-printf', 'x'])).length;
		return found((performance.now() - started) / 1000, count, expected);
	};

	note('filesIndex', (await mounted(async () => null)).ready);
	const small = Array.from({ length: MANY / FILES }, (_, i) => join(latest, folderName(i)));
	const { ready, result } = await mounted(async () => ({
		many: await find(MANY, join(latest, 'many')),
		small: await find(MANY, ...small),
	}));
	note('filesMount', ready);
	note('filesFolder', result.many);
	note('filesFolder', result.small, undefined, IN_SMALL);
	const whole = await mounted(async () => {
		const seconds = await find(FOLDERS * FILES + MANY, latest);
		return { seconds, peak: await peakOfMount(home) };
	});
	note('filesFind', whole.result.seconds, whole.result.peak);
}

/** What the folder of a hundred thousand entries is compared with: as many in folders of a thousand. */
export const IN_SMALL = 'in folders of 1000';

/** Bytes; of the process that serves the only mount. */
async function peakOfMount(home: string): Promise<number> {
	const records = join(home, '.cache/tsdup/mounts');
	const [record] = await readdir(records);
	const { pid } = JSON.parse(await readFile(join(records, record as string), 'utf8'));
	const status = await readFile(`/proc/${pid}/status`, 'utf8');
	return Number(/^VmHWM:\s+(\d+) kB$/m.exec(status)?.[1]) * 1024;
}

/** Not encrypted: a mount takes it by its URL. */
async function writeCollection(target: string): Promise<void> {
	for (let i = 0; i < SNAPSHOTS; i++) {
		const time = FIRST + i * DAY;
		const set: SetName = { kind: i === 0 ? 'full' : 'inc', start: i === 0 ? null : time - DAY, time };
		for (const name of [volumeName(set, 1, 'none'), manifestName(set, 'none'), sigtarName(set, 'none')])
			await writeFile(join(target, name), '');
		const file = createWriteStream(join(target, segmentName(set, 'none')));
		const gzip = createGzip({ level: 1 });
		gzip.pipe(file);
		for (const lines of segment(set, i)) if (!gzip.write(lines)) await once(gzip, 'drain');
		gzip.end();
		await once(file, 'close');
	}
}

/** Some lines at once. Entries are in the order of their paths. */
function* segment(set: SetName, snapshot: number): Generator<Buffer, void> {
	let entries = 0;
	const line = (path: string, type: 'file' | 'dir') => {
		const extents = [{ length: SIZE, volume: volumeId(set.time, 1), offset: entries++ * SIZE }];
		return formatLine({
			kind: 'entry',
			path: Buffer.from(path),
			metadata: metadata(type, set.time),
			extents: type === 'file' ? extents : [],
			delta: null,
			signature: null,
		});
	};
	const { kind, start, time } = set;
	yield formatLine({ kind: 'set', set: { kind, start, time, chain: FIRST } });
	if (snapshot === 0) {
		yield line('', 'dir');
		for (let i = 0; i < FOLDERS; i++) {
			const files = Array.from({ length: FILES }, (_, n) => line(`${folderName(i)}/${fileName(n)}`, 'file'));
			yield Buffer.concat([line(folderName(i), 'dir'), ...files]);
		}
		yield line('many', 'dir');
		for (let n = 0; n < MANY; n++) yield line(`many/${fileName(n)}`, 'file');
	} else {
		for (let n = 0; n < CHANGED; n++) {
			const folder = Math.floor((n * FOLDERS) / CHANGED);
			yield line(`${folderName(folder)}/${fileName((snapshot * 7) % FILES)}`, 'file');
		}
	}
	yield formatLine(volume(set, entries * SIZE));
	yield formatLine({ kind: 'end', entries });
}

function volume(set: SetName, tarLength: number): SegmentLine {
	const frames = [];
	for (let at = 0; at < tarLength; at += FRAME_LENGTH) {
		const length = Math.min(FRAME_LENGTH, tarLength - at);
		frames.push({ tarOffset: at, tarLength: length, offset: at, length, digest: Buffer.alloc(32) });
	}
	return {
		kind: 'volume',
		id: volumeId(set.time, 1),
		volume: { name: volumeName(set, 1, 'none'), size: 0, sha1: '', key: null, body: 0, tarLength, frames },
	};
}

function metadata(type: 'file' | 'dir', mtime: number): Metadata {
	return {
		...{ type, mode: 0o755, uid: 0, gid: 0, mtime, mtimeNs: 0, size: type === 'file' ? SIZE : 0 },
		...{ uname: Buffer.from('root'), gname: Buffer.from('root'), link: null, devMajor: 0, devMinor: 0 },
		...{ xattrs: null, hardLink: null, allocated: null },
	};
}

function folderName(i: number): string {
	return `folder-${String(i).padStart(3, '0')}`;
}

function fileName(n: number): string {
	return `a file of some name ${String(n).padStart(6, '0')}.txt`;
}
