/**
 * A tree of files that tests change: names are given with one character per byte, and what is changed gets the time that
 * the test says, so that every run makes the same tree.
 */
import { execFileSync } from 'node:child_process';
import {
	closeSync,
	lstatSync,
	lutimesSync,
	mkdirSync,
	openSync,
	renameSync,
	rmSync,
	symlinkSync,
	writeFileSync,
	writeSync,
} from 'node:fs';
import { seededRandom } from './tree.js';

export class SourceTree {
	/** Seconds; what `setTimes` gives. */
	time: number;
	readonly random = seededRandom(20_101_004);
	readonly #root: Buffer;
	readonly #touched = new Set<string>();

	constructor(root: string, time: number) {
		this.#root = Buffer.from(root);
		this.time = time;
	}

	/** Whatever was changed since the last call, and its folder, is now of `time`. */
	setTimes(): void {
		for (const path of this.#touched) {
			if (lstatSync(this.path(path), { throwIfNoEntry: false })) this.setTime(path, 0);
		}
		this.#touched.clear();
	}

	/** @param later seconds after `time` */
	setTime(path: string, later: number): void {
		lutimesSync(this.path(path), this.time + later, this.time + later);
	}

	/** A random integer, below `n`. */
	below(n: number): number {
		return Math.floor(this.random() * n);
	}

	/** Random bytes (xorshift: fast, and nothing compresses them). */
	noise(length: number): Buffer {
		const words = new Uint32Array(Math.ceil(length / 4));
		let state = 1 + Math.floor(this.random() * (2 ** 32 - 2));
		for (let i = 0; i < words.length; i++) {
			state ^= state << 13;
			state ^= state >>> 17;
			state ^= state << 5;
			words[i] = state;
		}
		return Buffer.from(words.buffer, 0, length);
	}

	/** Absolute. */
	path(path: string): Buffer {
		return Buffer.concat([this.#root, Buffer.from(path === '' ? '' : `/${path}`, 'latin1')]);
	}

	/** For what changes it by itself: the path and its folder get their time with `setTimes`. @returns absolute */
	touch(path: string): Buffer {
		this.#touched.add(path);
		this.#touched.add(parentOf(path));
		return this.path(path);
	}

	/** Makes the folders that it needs. @param content null: only the time is new */
	write(path: string, content: Buffer | null): void {
		if (path.includes('/')) this.mkdir(parentOf(path));
		const absolute = this.touch(path);
		if (content) writeFileSync(absolute, content);
	}

	mkdir(path: string): void {
		const absolute = this.path(path);
		if (lstatSync(absolute, { throwIfNoEntry: false })?.isDirectory()) return;
		if (path !== '') this.mkdir(parentOf(path));
		this.touch(path);
		mkdirSync(absolute, { mode: 0o755 });
	}

	overwrite(path: string, offset: number, content: Buffer): void {
		const fd = openSync(this.touch(path), 'r+');
		writeSync(fd, content, 0, content.length, offset);
		closeSync(fd);
	}

	remove(path: string): void {
		rmSync(this.touch(path), { recursive: true });
	}

	/** Keeps the time of what is renamed. */
	rename(from: string, to: string): void {
		renameSync(this.path(from), this.path(to));
		this.#touched.add(parentOf(from));
		this.#touched.add(parentOf(to));
	}

	symlink(path: string, target: string): void {
		symlinkSync(Buffer.from(target, 'latin1'), this.touch(path));
	}

	/** @param kind as for mknod */
	special(path: string, ...kind: string[]): void {
		execFileSync('mknod', [this.touch(path).toString(), ...kind]);
	}
}

function parentOf(path: string): string {
	return path.slice(0, Math.max(0, path.lastIndexOf('/')));
}
