/**
 * System calls that Node does not have (native/posix.cc). Paths and names are bytes; a symlink at the end of a path is not
 * followed. They block, as the *Sync functions of node:fs do, and throw the same kind of error (`code`, `syscall`).
 */
import { loadAddon } from '../addon.js';

interface Native {
	list(file: Buffer | number): Buffer;
	get(file: Buffer | number, name: Buffer): Buffer | null;
	set(path: Buffer, name: Buffer, value: Buffer): void;
	times(path: Buffer, seconds: number, nanoseconds: number): void;
	firstHole(fd: number): number;
	closeOnExec(fd: number): void;
	lowerOtherThreads(nice: number): void;
}

let loaded: Native | undefined;

function native(): Native {
	loaded ??= loadAddon('posix', 'libc6') as Native;
	return loaded;
}

/** Names of the extended attributes of a path or descriptor, each ended by a NUL. */
export function listXattrs(file: Buffer | number): Buffer {
	return native().list(ended(file));
}

/** null when there is none of this name. */
export function getXattr(file: Buffer | number, name: Buffer): Buffer | null {
	return native().get(ended(file), ended(name));
}

export function setXattr(path: Buffer, name: Buffer, value: Buffer): void {
	native().set(ended(path), ended(name), value);
}

/** Sets access and modification time: seconds since 1970, and nanoseconds from there. */
export function setTimes(path: Buffer, seconds: number, nanoseconds: number): void {
	native().times(ended(path), seconds, nanoseconds);
}

/** Offset of a file's first hole; its size when there is none. The file's position stays. */
export function firstHole(fd: number): number {
	return native().firstHole(fd);
}

/** Children do not get the descriptor. */
export function closeOnExec(fd: number): void {
	native().closeOnExec(fd);
}

/** Of threads that give way: enough for the scheduler to heed it, and not to starve beside other programs. */
const NICE = 10;

/**
 * All threads that there are by now give way to the main one: those of the pool, and V8's. The main thread decides what they do
 * next, in short turns; on few cores it would wait for its own helpers each time.
 */
export function lowerOtherThreads(): void {
	native().lowerOtherThreads(NICE);
}

/** What has a NUL in it would be cut there without a word. */
function ended<T extends Buffer | number>(text: T): T {
	if (typeof text !== 'number' && text.includes(0)) throw new RangeError('a path or name with a NUL');
	return text;
}
