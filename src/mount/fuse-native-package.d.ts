/** The part of the package `fuse-native` 2.2.6 that the driver uses; the package has no types of its own. */
declare module 'fuse-native' {
	/** `error` is 0 or a negative errno. */
	export type Callback<T extends unknown[] = []> = (error: number, ...values: T) => void;

	export interface Stat {
		mode: number;
		nlink: number;
		uid: number;
		gid: number;
		rdev: number;
		/** Bytes. */
		size: number;
		blksize: number;
		/** Units of 512 bytes. */
		blocks: number;
		/** Milliseconds since 1970. */
		atime: number;
		mtime: number;
		ctime: number;
	}

	export interface StatFs {
		bsize: number;
		frsize: number;
		blocks: number;
		files: number;
		namemax: number;
	}

	export interface Operations {
		getattr(path: string, callback: Callback<[Stat?]>): void;
		readdir(path: string, callback: Callback<[string[]?]>): void;
		readlink(path: string, callback: Callback<[string?]>): void;
		open(path: string, flags: number, callback: Callback<[number?]>): void;
		/** A result above 0 is the count of bytes put into `buffer`, below 0 an errno. */
		read(
			path: string,
			handle: number,
			buffer: Buffer,
			length: number,
			offset: number,
			callback: (result: number) => void,
		): void;
		release(path: string, handle: number, callback: Callback): void;
		statfs(path: string, callback: Callback<[StatFs?]>): void;
		/** Must be there for the overrides below to be called. */
		getxattr(): void;
		listxattr(): void;
	}

	/** Answers with what is to be returned to the kernel, a length or a negative errno, and the buffer of the question. */
	export type XattrSignal = (result: number, buffer: ArrayBufferLike) => void;

	class Fuse {
		constructor(mountpoint: string, operations: Operations, options: { timeout: false });
		mount(callback: (error: Error | null) => void): void;
		/** The argument for libfuse, `-oWORD,WORD=VALUE`. */
		protected _fuseOptions(): string;
		/** `stats` are C `struct stat`s as `getStatArray` lays them out, one for each name. */
		protected _op_getxattr(signal: XattrSignal, path: string, name: string, value: Buffer): void;
		protected _op_listxattr(signal: XattrSignal, path: string, list: Buffer): void;
		protected _op_readdir(signal: Callback<[string[]?, Uint32Array[]?]>, path: string): void;
	}

	export default Fuse;
}
