/**
 * The source tree of the chain tests: what stands in it at first, and seven steps that change it in every way that a
 * backup has to notice. Deterministic: the same scale gives the same names, bytes and times. As root it also holds
 * devices and foreign owners.
 */
import { execFileSync } from 'node:child_process';
import {
	appendFileSync,
	chmodSync,
	chownSync,
	closeSync,
	linkSync,
	lstatSync,
	lutimesSync,
	mkdirSync,
	openSync,
	readFileSync,
	renameSync,
	rmSync,
	symlinkSync,
	truncateSync,
	writeFileSync,
	writeSync,
} from 'node:fs';
import { seededRandom } from './tree.js';

export interface Scale {
	readonly smallFiles: number;
	/** Bytes; 0: there is none. */
	readonly bigFile: number;
}

const ROOT = process.getuid?.() === 0;
/** Time of the full's files, s; every step is a day later. */
const EPOCH = 1_600_000_000;
/** Bytes of a full piece of a file in a difftar. */
const PIECE = 2 ** 20 - 512;
/** The sizes at which something changes: reads, pieces, frames; each with its neighbours. */
const BORDERS = [
	0,
	1,
	511,
	512,
	65_535,
	65_536,
	65_537,
	PIECE - 1,
	PIECE,
	PIECE + 1,
	2 ** 20,
	2 ** 20 + 1,
	2 * PIECE,
];

/** Names that trip whoever takes them for text, or for duplicity's own. */
const ODD_NAMES = [
	...['new\nline.txt', 'quote"double', "quote'single", 'back\\slash', ' leading', 'trailing ', 'tab\tname'],
	...['\x01control', '-dash', '*star?', '#hash', '%41', '...', '~', 'umlaut-\xc3\xa4', 'nfd-a\xcc\x88'],
	...[
		'latin1-\xe4\xf6\xfc.txt',
		'\xff',
		'1',
		'multivol_diff',
		'snapshot',
		'deleted',
		'duplicity-full.x.manifest',
	],
	...['dir-a', 'dir.a', `long-${'n'.repeat(250)}`],
];

/** Five folders of 220 bytes with a file of 255: over 1,000 bytes. */
const DEEP = [...'abcde'].map((c) => c.repeat(220)).join('/');

export class ChainSource {
	/** Steps after the full. */
	static readonly steps = 7;
	readonly #root: Buffer;
	readonly #scale: Scale;
	readonly #random = seededRandom(20_101_004);
	readonly #touched = new Set<string>();
	#time = EPOCH;

	constructor(root: string, scale: Scale) {
		this.#root = Buffer.from(root);
		this.#scale = scale;
	}

	/** @param step 0 makes the tree; the others change what the one before left */
	apply(step: number): void {
		this.#time = EPOCH + step * 86_400;
		const steps = [
			() => this.#create(),
			() => this.#changeContents(),
			() => this.#changeTypes(),
			() => this.#deleteMuch(),
			() => {},
			() => this.#comeBack(),
			() => this.#write('excluded/changed', this.#noise(700)),
			() => this.#last(),
		];
		steps[step]?.();
		if (step !== 0 && step !== 4) this.#fuzz();
		for (const path of this.#touched) {
			const absolute = this.#path(path);
			if (lstatSync(absolute, { throwIfNoEntry: false })) lutimesSync(absolute, this.#time, this.#time);
		}
		this.#touched.clear();
		if (step === 0) this.#odTimes();
	}

	#create(): void {
		this.#mkdir('');
		chmodSync(this.#root, 0o755);
		for (const name of ODD_NAMES) this.#write(name, this.#noise(100 + name.length));
		for (const path of [
			'dir/a.txt',
			'dir/sub/deep.txt',
			'dir-b/x',
			'latin1-\xff-dir/in-\xfe',
			`${DEEP}/${'f'.repeat(255)}`,
		]) {
			this.#write(path, this.#noise(3000));
		}
		for (const size of BORDERS) this.#write(`borders/${size}`, this.#noise(size));
		for (let i = 0; i < 30; i++) this.#write(`fuzz/${i}`, this.#noise(BORDERS[i % BORDERS.length] as number));
		// A file of several pieces whose name is that of a piece, in a folder whose name is that of a kind.
		this.#write('multivol_snapshot/1', this.#noise(2_500_000));
		this.#write('multivol_snapshot/2', this.#noise(2_500_000));
		this.#write('edited', this.#noise(3 * 2 ** 20));
		for (const name of [
			'appended',
			'truncated',
			'inserted',
			'deleted-1',
			'renamed-1',
			'touched',
			'chmod',
			'chown',
		]) {
			this.#write(name, this.#noise(90_000));
		}
		for (const name of [
			'to-nothing',
			'to-dir',
			'to-symlink',
			'to-fifo',
			'swap-a',
			'swap-b',
			'excluded/f',
			'excluded/g/h',
		]) {
			this.#write(name, this.#noise(5000));
		}
		this.#write('from-nothing', Buffer.alloc(0));
		for (const path of ['dir-to-file/a', 'dir-to-file/b/c', 'dir-to-symlink/a'])
			this.#write(path, this.#noise(50));
		this.#mkdir('empty-dir');
		this.#write('sparse', Buffer.from('begin'));
		truncateSync(this.#path('sparse'), 5_000_000);
		appendFileSync(this.#path('sparse'), 'end');
		this.#write('hard-1', this.#noise(2000));
		linkSync(this.#path('hard-1'), this.#path('hard-2'));
		this.#symlink('link-dangling', 'nowhere/at all');
		this.#symlink('link-to-dir', 'dir');
		this.#symlink('link-latin1-\xe9', '\xe9t\xe9/\xff');
		this.#symlink('link-long', `${'t'.repeat(250)}/`.repeat(10));
		this.#special('fifo', 'p');
		this.#write('setuid', this.#noise(10));
		this.#mkdir('sticky');
		this.#write('future', this.#noise(20));
		this.#write('before-1970', this.#noise(20));
		if (ROOT) {
			this.#special('char', 'c', '1', '3');
			this.#special('block', 'b', '259', '70000');
			this.#write('huge-ids', this.#noise(20));
			chownSync(this.#path('huge-ids'), 3_000_000_000, 2_097_152);
			chownSync(this.#path('setuid'), 65_534, 4321);
		}
		chmodSync(this.#path('setuid'), 0o6751);
		chmodSync(this.#path('sticky'), 0o1777);
		for (let i = 0; i < this.#scale.smallFiles; i++) this.#write(small(i), this.#noise(20 + (i % 400)));
		if (this.#scale.bigFile > 0) this.#writeBig();
	}

	/** 'Before 1970' is stored as 0 by duplicity; 'future' doesn't fit 32 bits. */
	#odTimes(): void {
		execFileSync('touch', ['-d', '@5000000000', this.#path('future').toString()]);
		execFileSync('touch', ['-d', '@-86400', this.#path('before-1970').toString()]);
	}

	#changeContents(): void {
		this.#overwrite('edited', 1_500_000, this.#noise(1000));
		this.#overwrite('sparse', 2_000_000, this.#noise(100));
		appendFileSync(this.#touch('appended'), this.#noise(700));
		truncateSync(this.#touch('truncated'), 40_000);
		const content = readFileSync(this.#path('inserted'));
		this.#write(
			'inserted',
			Buffer.concat([this.#noise(33), content.subarray(0, 50_000), this.#noise(5), content.subarray(50_000)]),
		);
		this.#remove('deleted-1');
		this.#rename('renamed-1', 'renamed-2');
		this.#remove('to-dir');
		this.#write('to-dir/inside', this.#noise(80));
		this.#write('to-dir/sub/inside', this.#noise(80));
		this.#remove('dir-to-file');
		this.#write('dir-to-file', this.#noise(70_000));
		chmodSync(this.#path('chmod'), 0o600);
		this.#touch('touched');
		if (ROOT) chownSync(this.#path('chown'), 4321, 4322);
		this.#remove('link-to-dir');
		this.#symlink('link-to-dir', 'dir-\xff');
		for (const name of ODD_NAMES.slice(0, 12)) this.#overwrite(name, 50, this.#noise(30));
		for (let i = 0; i < this.#scale.smallFiles; i += 50) this.#write(small(i), this.#noise(30 + (i % 300)));
		if (this.#scale.bigFile > 0)
			this.#overwrite('big', Math.floor(this.#scale.bigFile / 2), this.#noise(100_000));
	}

	#changeTypes(): void {
		for (let i = 0; i < this.#scale.smallFiles; i++) if (i % 2000 >= 200) this.#remove(small(i));
		truncateSync(this.#touch('to-nothing'), 0);
		this.#write('from-nothing', this.#noise(200_000));
		this.#remove('to-dir');
		this.#write('to-dir', this.#noise(66_000));
		this.#remove('dir-to-file');
		this.#write('dir-to-file/a', this.#noise(50));
		this.#write('dir-to-file/z', this.#noise(50));
		this.#remove('to-symlink');
		this.#symlink('to-symlink', 'appended');
		this.#remove('dir-to-symlink');
		this.#symlink('dir-to-symlink', 'dir');
		this.#remove('fifo');
		this.#write('fifo', this.#noise(60));
		this.#remove('to-fifo');
		this.#special('to-fifo', 'p');
		this.#remove('link-dangling');
		this.#write('link-dangling/now-a-dir', this.#noise(60));
		if (ROOT) {
			this.#remove('char');
			this.#special('char', 'b', '8', '1');
			chownSync(this.#path('huge-ids'), 0, 3_000_000_001);
		}
		// All of it is new: the delta has several pieces.
		this.#write('multivol_snapshot/1', this.#noise(2_600_000));
		this.#overwrite('edited', 0, this.#noise(PIECE));
		if (this.#scale.bigFile > 0) appendFileSync(this.#touch('big'), this.#noise(3_000_000));
	}

	#deleteMuch(): void {
		if (this.#scale.bigFile > 0) this.#remove('big');
		this.#remove('dir');
		this.#remove('empty-dir');
		this.#rename('swap-a', 'swap-c');
		this.#rename('swap-b', 'swap-a');
		this.#rename('swap-c', 'swap-b');
		// duplicity looks at times alone: the files that changed places must have new ones.
		utimes(this.#path('swap-a'), this.#time + 1);
		utimes(this.#path('swap-b'), this.#time + 2);
		this.#remove('hard-1');
		chmodSync(this.#path('setuid'), 0o755);
		chmodSync(this.#path('sticky'), 0o2700);
	}

	#comeBack(): void {
		this.#write('dir/a.txt', this.#noise(3000));
		this.#write('dir', null);
		this.#write('deleted-1', this.#noise(90_000));
		this.#rename('renamed-2', 'renamed-1');
		this.#write('empty-dir', this.#noise(9));
		this.#write('to-nothing', this.#noise(70_001));
		for (const size of BORDERS) if (size > 0) this.#overwrite(`borders/${size}`, size - 1, this.#noise(1));
		this.#overwrite('latin1-\xff-dir/in-\xfe', 10, this.#noise(10));
		this.#overwrite(`${DEEP}/${'f'.repeat(255)}`, 10, this.#noise(10));
		chmodSync(this.#root, 0o711);
	}

	#last(): void {
		for (const size of BORDERS) appendFileSync(this.#touch(`borders/${size}`), this.#noise(1));
		truncateSync(this.#touch('edited'), PIECE);
		truncateSync(this.#touch('multivol_snapshot/2'), 65_536);
		this.#overwrite('multivol_snapshot/1', 2_000_000, this.#noise(9));
		for (const name of ODD_NAMES) this.#write(name, this.#noise(60));
		for (let i = 0; i < this.#scale.smallFiles; i += 3)
			if (i % 2000 < 200) this.#write(small(i), this.#noise(i % 700));
		chmodSync(this.#root, 0o750);
	}

	/** Random edits: ranges that are overwritten, inserted, cut out, moved, repeated. */
	#fuzz(): void {
		for (let i = 0; i < 30; i++) {
			if (this.#random() < 0.3) continue;
			const path = `fuzz/${i}`;
			let content = readFileSync(this.#path(path));
			for (let edits = 1 + this.#below(4); edits > 0; edits--) {
				const [from, to] = [this.#below(content.length + 1), this.#below(content.length + 1)].sort(
					(a, b) => a - b,
				) as [number, number];
				const [head, middle, tail] = [
					content.subarray(0, from),
					content.subarray(from, to),
					content.subarray(to),
				];
				const edited = [
					[head, this.#noise(middle.length), tail],
					[head, this.#noise(this.#below(5000)), middle, tail],
					[head, tail],
					[tail, middle, head],
					[head, middle, middle.subarray(0, 50_000), tail],
				][this.#below(5)] as Buffer[];
				content = Buffer.concat(edited);
			}
			this.#write(path, content.subarray(0, 4_000_000));
		}
	}

	/** Every other half MiB can be compressed. */
	#writeBig(): void {
		const fd = openSync(this.#touch('big'), 'w');
		const half = 2 ** 19;
		for (let written = 0; written < this.#scale.bigFile; written += 2 * half) {
			writeSync(fd, this.#noise(half));
			writeSync(fd, Buffer.alloc(half, `line of text at ${written}\n`));
		}
		closeSync(fd);
	}

	#below(n: number): number {
		return Math.floor(this.#random() * n);
	}

	#noise(length: number): Buffer {
		const words = new Uint32Array(Math.ceil(length / 4));
		let state = 1 + Math.floor(this.#random() * (2 ** 32 - 2));
		for (let i = 0; i < words.length; i++) {
			state ^= state << 13;
			state ^= state >>> 17;
			state ^= state << 5;
			words[i] = state;
		}
		return Buffer.from(words.buffer, 0, length);
	}

	#path(path: string): Buffer {
		return Buffer.concat([this.#root, Buffer.from(path === '' ? '' : `/${path}`, 'latin1')]);
	}

	/** The path and its folder get the step's time when the step is done. */
	#touch(path: string): Buffer {
		this.#touched.add(path);
		this.#touched.add(parentOf(path));
		return this.#path(path);
	}

	/** @param content null: only the time is new */
	#write(path: string, content: Buffer | null): void {
		if (path.includes('/')) this.#mkdir(parentOf(path));
		const absolute = this.#touch(path);
		if (content) writeFileSync(absolute, content);
	}

	#mkdir(path: string): void {
		const absolute = this.#path(path);
		if (lstatSync(absolute, { throwIfNoEntry: false })?.isDirectory()) return;
		if (path !== '') this.#mkdir(parentOf(path));
		this.#touch(path);
		mkdirSync(absolute, { mode: 0o755 });
	}

	#overwrite(path: string, offset: number, content: Buffer): void {
		const fd = openSync(this.#touch(path), 'r+');
		writeSync(fd, content, 0, content.length, offset);
		closeSync(fd);
	}

	#remove(path: string): void {
		rmSync(this.#touch(path), { recursive: true });
	}

	#rename(from: string, to: string): void {
		renameSync(this.#path(from), this.#path(to));
		this.#touched.add(parentOf(from));
		this.#touched.add(parentOf(to));
	}

	#symlink(path: string, target: string): void {
		symlinkSync(Buffer.from(target, 'latin1'), this.#touch(path));
	}

	#special(path: string, ...kind: string[]): void {
		execFileSync('mknod', [this.#touch(path).toString(), ...kind]);
	}
}

function parentOf(path: string): string {
	return path.slice(0, Math.max(0, path.lastIndexOf('/')));
}

function small(i: number): string {
	return `small/${Math.floor(i / 500)}/${i}`;
}

function utimes(path: Buffer, time: number): void {
	lutimesSync(path, time, time);
}
