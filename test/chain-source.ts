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
	openSync,
	readFileSync,
	truncateSync,
	writeSync,
} from 'node:fs';
import { SourceTree } from './source-tree.js';

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
	...[0, 1, 511, 512, 65_535, 65_536, 65_537],
	...[PIECE - 1, PIECE, PIECE + 1, 2 ** 20, 2 ** 20 + 1, 2 * PIECE],
];

/** Names that trip whoever takes them for text, or for duplicity's own. */
const ODD_NAMES = [
	...['new\nline.txt', 'quote"double', "quote'single", 'back\\slash', ' leading', 'trailing ', 'tab\tname'],
	...['\x01control', '-dash', '*star?', '#hash', '%41', '...', '~', 'umlaut-\xc3\xa4', 'nfd-a\xcc\x88'],
	...['latin1-\xe4\xf6\xfc.txt', '\xff', '1', 'multivol_diff', 'snapshot', 'deleted'],
	...['duplicity-full.x.manifest', 'multivol_diff2'],
	...['dir-a', 'dir.a', `long-${'n'.repeat(250)}`],
];

/** Five folders of 220 bytes with a file of 255: over 1,000 bytes. */
const DEEP = [...'abcde'].map((c) => c.repeat(220)).join('/');

export class ChainSource {
	/** Steps after the full. */
	static readonly steps = 7;
	readonly #scale: Scale;
	readonly #tree: SourceTree;

	constructor(root: string, scale: Scale) {
		this.#scale = scale;
		this.#tree = new SourceTree(root, EPOCH);
	}

	/** @param step 0 makes the tree; the others change what the one before left */
	apply(step: number): void {
		this.#tree.time = EPOCH + step * 86_400;
		const steps = [
			() => this.#create(),
			() => this.#changeContents(),
			() => this.#changeTypes(),
			() => this.#deleteMuch(),
			() => {},
			() => this.#comeBack(),
			() => this.#tree.write('excluded/changed', this.#tree.noise(700)),
			() => this.#last(),
		];
		steps[step]?.();
		if (step !== 0 && step !== 4) this.#fuzz();
		this.#tree.setTimes();
		if (step === 0) this.#oddTimes();
	}

	#create(): void {
		this.#tree.mkdir('');
		chmodSync(this.#tree.path(''), 0o755);
		for (const name of ODD_NAMES) this.#tree.write(name, this.#tree.noise(100 + name.length));
		for (const path of [
			'dir/a.txt',
			'dir/sub/deep.txt',
			'dir-b/x',
			'latin1-\xff-dir/in-\xfe',
			`${DEEP}/${'f'.repeat(255)}`,
		]) {
			this.#tree.write(path, this.#tree.noise(3000));
		}
		for (const size of BORDERS) this.#tree.write(`borders/${size}`, this.#tree.noise(size));
		for (let i = 0; i < 30; i++)
			this.#tree.write(`fuzz/${i}`, this.#tree.noise(BORDERS[i % BORDERS.length] as number));
		// A file of several pieces whose name is that of a piece, in a folder whose name is that of a kind.
		this.#tree.write('multivol_snapshot/1', this.#tree.noise(2_500_000));
		this.#tree.write('multivol_snapshot/2', this.#tree.noise(2_500_000));
		this.#tree.write('edited', this.#tree.noise(3 * 2 ** 20));
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
			this.#tree.write(name, this.#tree.noise(90_000));
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
			this.#tree.write(name, this.#tree.noise(5000));
		}
		this.#tree.write('from-nothing', Buffer.alloc(0));
		for (const path of ['dir-to-file/a', 'dir-to-file/b/c', 'dir-to-symlink/a'])
			this.#tree.write(path, this.#tree.noise(50));
		this.#tree.mkdir('empty-dir');
		this.#tree.write('sparse', Buffer.from('begin'));
		truncateSync(this.#tree.path('sparse'), 5_000_000);
		appendFileSync(this.#tree.path('sparse'), 'end');
		this.#tree.write('hard-1', this.#tree.noise(2000));
		linkSync(this.#tree.path('hard-1'), this.#tree.path('hard-2'));
		this.#tree.symlink('link-dangling', 'nowhere/at all');
		this.#tree.symlink('link-to-dir', 'dir');
		this.#tree.symlink('link-latin1-\xe9', '\xe9t\xe9/\xff');
		this.#tree.symlink('link-long', `${'t'.repeat(250)}/`.repeat(10));
		this.#tree.special('fifo', 'p');
		this.#tree.write('setuid', this.#tree.noise(10));
		this.#tree.mkdir('sticky');
		this.#tree.write('future', this.#tree.noise(20));
		this.#tree.write('before-1970', this.#tree.noise(20));
		if (ROOT) {
			this.#tree.special('char', 'c', '1', '3');
			this.#tree.special('block', 'b', '259', '70000');
			this.#tree.write('huge-ids', this.#tree.noise(20));
			chownSync(this.#tree.path('huge-ids'), 3_000_000_000, 2_097_152);
			chownSync(this.#tree.path('setuid'), 65_534, 4321);
		}
		chmodSync(this.#tree.path('setuid'), 0o6751);
		chmodSync(this.#tree.path('sticky'), 0o1777);
		for (let i = 0; i < this.#scale.smallFiles; i++)
			this.#tree.write(small(i), this.#tree.noise(20 + (i % 400)));
		if (this.#scale.bigFile > 0) this.#writeBig();
	}

	/** 'Before 1970' is stored as 0 by duplicity; 'future' doesn't fit 32 bits. */
	#oddTimes(): void {
		execFileSync('touch', ['-d', '@5000000000', this.#tree.path('future').toString()]);
		execFileSync('touch', ['-d', '@-86400', this.#tree.path('before-1970').toString()]);
	}

	#changeContents(): void {
		this.#tree.overwrite('edited', 1_500_000, this.#tree.noise(1000));
		this.#tree.overwrite('sparse', 2_000_000, this.#tree.noise(100));
		appendFileSync(this.#tree.touch('appended'), this.#tree.noise(700));
		truncateSync(this.#tree.touch('truncated'), 40_000);
		const content = readFileSync(this.#tree.path('inserted'));
		this.#tree.write(
			'inserted',
			Buffer.concat([
				this.#tree.noise(33),
				content.subarray(0, 50_000),
				this.#tree.noise(5),
				content.subarray(50_000),
			]),
		);
		this.#tree.remove('deleted-1');
		this.#tree.rename('renamed-1', 'renamed-2');
		this.#tree.remove('to-dir');
		this.#tree.write('to-dir/inside', this.#tree.noise(80));
		this.#tree.write('to-dir/sub/inside', this.#tree.noise(80));
		this.#tree.remove('dir-to-file');
		this.#tree.write('dir-to-file', this.#tree.noise(70_000));
		chmodSync(this.#tree.path('chmod'), 0o600);
		this.#tree.touch('touched');
		if (ROOT) chownSync(this.#tree.path('chown'), 4321, 4322);
		this.#tree.remove('link-to-dir');
		this.#tree.symlink('link-to-dir', 'dir-\xff');
		for (const name of ODD_NAMES.slice(0, 12)) this.#tree.overwrite(name, 50, this.#tree.noise(30));
		for (let i = 0; i < this.#scale.smallFiles; i += 50)
			this.#tree.write(small(i), this.#tree.noise(30 + (i % 300)));
		if (this.#scale.bigFile > 0)
			this.#tree.overwrite('big', Math.floor(this.#scale.bigFile / 2), this.#tree.noise(100_000));
	}

	#changeTypes(): void {
		for (let i = 0; i < this.#scale.smallFiles; i++) if (i % 2000 >= 200) this.#tree.remove(small(i));
		truncateSync(this.#tree.touch('to-nothing'), 0);
		this.#tree.write('from-nothing', this.#tree.noise(200_000));
		this.#tree.remove('to-dir');
		this.#tree.write('to-dir', this.#tree.noise(66_000));
		this.#tree.remove('dir-to-file');
		this.#tree.write('dir-to-file/a', this.#tree.noise(50));
		this.#tree.write('dir-to-file/z', this.#tree.noise(50));
		this.#tree.remove('to-symlink');
		this.#tree.symlink('to-symlink', 'appended');
		this.#tree.remove('dir-to-symlink');
		this.#tree.symlink('dir-to-symlink', 'dir');
		this.#tree.remove('fifo');
		this.#tree.write('fifo', this.#tree.noise(60));
		this.#tree.remove('to-fifo');
		this.#tree.special('to-fifo', 'p');
		this.#tree.remove('link-dangling');
		this.#tree.write('link-dangling/now-a-dir', this.#tree.noise(60));
		if (ROOT) {
			this.#tree.remove('char');
			this.#tree.special('char', 'b', '8', '1');
			chownSync(this.#tree.path('huge-ids'), 0, 3_000_000_001);
		}
		// All of it is new: the delta has several pieces.
		this.#tree.write('multivol_snapshot/1', this.#tree.noise(2_600_000));
		this.#tree.overwrite('edited', 0, this.#tree.noise(PIECE));
		if (this.#scale.bigFile > 0) appendFileSync(this.#tree.touch('big'), this.#tree.noise(3_000_000));
	}

	#deleteMuch(): void {
		if (this.#scale.bigFile > 0) this.#tree.remove('big');
		this.#tree.remove('dir');
		this.#tree.remove('empty-dir');
		this.#tree.rename('swap-a', 'swap-c');
		this.#tree.rename('swap-b', 'swap-a');
		this.#tree.rename('swap-c', 'swap-b');
		// duplicity looks at times alone: the files that changed places must have new ones.
		this.#tree.setTime('swap-a', 1);
		this.#tree.setTime('swap-b', 2);
		this.#tree.remove('hard-1');
		chmodSync(this.#tree.path('setuid'), 0o755);
		chmodSync(this.#tree.path('sticky'), 0o2700);
	}

	#comeBack(): void {
		this.#tree.write('dir/a.txt', this.#tree.noise(3000));
		this.#tree.write('dir', null);
		this.#tree.write('deleted-1', this.#tree.noise(90_000));
		this.#tree.rename('renamed-2', 'renamed-1');
		this.#tree.write('empty-dir', this.#tree.noise(9));
		this.#tree.write('to-nothing', this.#tree.noise(70_001));
		for (const size of BORDERS)
			if (size > 0) this.#tree.overwrite(`borders/${size}`, size - 1, this.#tree.noise(1));
		this.#tree.overwrite('latin1-\xff-dir/in-\xfe', 10, this.#tree.noise(10));
		this.#tree.overwrite(`${DEEP}/${'f'.repeat(255)}`, 10, this.#tree.noise(10));
		chmodSync(this.#tree.path(''), 0o711);
	}

	#last(): void {
		for (const size of BORDERS) appendFileSync(this.#tree.touch(`borders/${size}`), this.#tree.noise(1));
		truncateSync(this.#tree.touch('edited'), PIECE);
		truncateSync(this.#tree.touch('multivol_snapshot/2'), 65_536);
		this.#tree.overwrite('multivol_snapshot/1', 2_000_000, this.#tree.noise(9));
		for (const name of ODD_NAMES) this.#tree.write(name, this.#tree.noise(60));
		for (let i = 0; i < this.#scale.smallFiles; i += 3)
			if (i % 2000 < 200) this.#tree.write(small(i), this.#tree.noise(i % 700));
		chmodSync(this.#tree.path(''), 0o750);
	}

	/** Random edits: ranges that are overwritten, inserted, cut out, moved, repeated. */
	#fuzz(): void {
		for (let i = 0; i < 30; i++) {
			if (this.#tree.random() < 0.3) continue;
			const path = `fuzz/${i}`;
			let content = readFileSync(this.#tree.path(path));
			for (let edits = 1 + this.#tree.below(4); edits > 0; edits--) {
				const [from, to] = [this.#tree.below(content.length + 1), this.#tree.below(content.length + 1)].sort(
					(a, b) => a - b,
				) as [number, number];
				const [head, middle, tail] = [
					content.subarray(0, from),
					content.subarray(from, to),
					content.subarray(to),
				];
				const edited = [
					[head, this.#tree.noise(middle.length), tail],
					[head, this.#tree.noise(this.#tree.below(5000)), middle, tail],
					[head, tail],
					[tail, middle, head],
					[head, middle, middle.subarray(0, 50_000), tail],
				][this.#tree.below(5)] as Buffer[];
				content = Buffer.concat(edited);
			}
			this.#tree.write(path, content.subarray(0, 4_000_000));
		}
	}

	/** Every other half MiB can be compressed. */
	#writeBig(): void {
		const fd = openSync(this.#tree.touch('big'), 'w');
		const half = 2 ** 19;
		for (let written = 0; written < this.#scale.bigFile; written += 2 * half) {
			writeSync(fd, this.#tree.noise(half));
			writeSync(fd, Buffer.alloc(half, `line of text at ${written}\n`));
		}
		closeSync(fd);
	}
}

function small(i: number): string {
	return `small/${Math.floor(i / 500)}/${i}`;
}
