/**
 * The driver upon the package `fuse-native` (libfuse 2, paths). Called by `serve`; one mount a process.
 *
 * Names are bytes, but fuse-native speaks UTF-8 strings. libfuse's iconv module stands between: it shows
 * the kernel ISO-8859-1, so each character of a path here, U+0000 to U+00FF, is exactly one byte there.
 *
 * After the unmount a libuv handle of fuse-native stays open: end the process with `process.exit`.
 */
import { readdirSync, readlinkSync } from 'node:fs';
import type Fuse from 'fuse-native';
import { TsdupError } from '../errors.js';
import { closeOnExec } from '../posix/calls.js';
import { detach } from './detach.js';
import type { Driver, FileSystem, Mounted, MountOptions } from './driver.js';
import { operationsOf, readdirOf, xattrsOf } from './fuse-native-operations.js';
import { PathResolver } from './path-resolver.js';
import { ShownXattrs } from './xattrs.js';

/**
 * Seconds that the kernel trusts names and attributes; libfuse 2 has one value for the whole mount.
 * Within a snapshot it might be for ever, but a new or purged snapshot should show soon.
 */
const KERNEL_TRUST = 10;

/**
 * Reads that the kernel sends at once. libfuse 2 ends threads when more than ten are idle, and fuse-native keeps
 * something for each thread there ever was: 9 GB read by 8 programs left 1147 behind with the kernel's 12, 132 with 8.
 */
const READS_AT_ONCE = 8;

/** Milliseconds between two looks whether libfuse has closed its device. */
const UNMOUNT_POLL = 250;

/** libuv and libfuse keep pointers into these objects even after the unmount: they must never be collected. */
const pinned: Fuse[] = [];

export const fuseNative: Driver = {
	givesNamesAgain: false,
	async mount(mountpoint: string, fs: FileSystem, options: MountOptions): Promise<Mounted> {
		const { default: Fuse } = await load();
		const resolver = new PathResolver(fs);
		const readdir = readdirOf(fs, resolver);
		const xattrs = xattrsOf(new ShownXattrs(fs, options), resolver);
		class TsdupFuse extends Fuse {
			protected override _fuseOptions(): string {
				return `-o${mountWords(options).join(',')}`;
			}

			protected override _op_readdir(...args: Parameters<typeof readdir>): void {
				readdir(...args);
			}

			protected override _op_getxattr(...args: Parameters<typeof xattrs.get>): void {
				xattrs.get(...args);
			}

			protected override _op_listxattr(...args: Parameters<typeof xattrs.list>): void {
				xattrs.list(...args);
			}
		}
		const fuse = new TsdupFuse(mountpoint, operationsOf(fs, resolver), { timeout: false });
		pinned.push(fuse);

		const before = deviceDescriptors();
		await new Promise<void>((resolve, reject) => {
			fuse.mount((error) => (error ? reject(refused(mountpoint, options, error)) : resolve()));
		});
		const device = deviceDescriptors().find((descriptor) => !before.includes(descriptor));
		if (device === undefined)
			throw new TsdupError(`cannot follow the mount on ${mountpoint}: no FUSE device is open`);
		// libfuse 2 does not see to it: a child (gpg) that outlives this process would keep the mount from ending.
		closeOnExec(Number(device));

		const unmounted = closed(device);
		return {
			unmounted,
			// libfuse 2 has no way to say so; the kernel asks again when its trust ends.
			forget(): void {},
			async unmount(): Promise<void> {
				await detach(mountpoint);
				await unmounted;
			},
		};
	},
};

function mountWords(options: MountOptions): string[] {
	const words = [
		'ro',
		'nosuid',
		'nodev',
		'default_permissions',
		'subtype=tsdup',
		`fsname=${options.fsname.replace(/[\\,]/g, '\\$&')}`,
		'modules=iconv',
		'from_code=UTF-8',
		'to_code=ISO-8859-1',
		'kernel_cache',
		`entry_timeout=${KERNEL_TRUST}`,
		`attr_timeout=${KERNEL_TRUST}`,
		'max_read=131072',
		`max_background=${READS_AT_ONCE}`,
	];
	if (options.allowOther) words.push('allow_other');
	if (options.noExec) words.push('noexec');
	if (options.uid !== undefined) words.push(`uid=${options.uid}`);
	if (options.gid !== undefined) words.push(`gid=${options.gid}`);
	if (options.umask !== undefined) words.push(`umask=${options.umask.toString(8)}`);
	return words;
}

async function load(): Promise<typeof import('fuse-native')> {
	try {
		return await import('fuse-native');
	} catch (cause) {
		throw new TsdupError(
			`cannot load the FUSE library: ${(cause as Error).message}; install libfuse 2 (Debian: apt install fuse libfuse2)`,
			{ cause },
		);
	}
}

function refused(mountpoint: string, options: MountOptions, cause: Error): TsdupError {
	const mayNotShare = options.allowOther && process.getuid?.() !== 0;
	const hint = mayNotShare
		? 'allow_other needs the line user_allow_other in /etc/fuse.conf'
		: 'it needs /dev/fuse and, for users other than root, the program fusermount; what libfuse said of it is on stderr';
	return new TsdupError(`cannot mount on ${mountpoint}: FUSE refused (${cause.message}); ${hint}`, { cause });
}

/** The descriptors of this process that are an open FUSE device, which is a mount that lives. */
function deviceDescriptors(): string[] {
	return readdirSync('/proc/self/fd').filter(isDevice);
}

function isDevice(descriptor: string): boolean {
	try {
		return readlinkSync(`/proc/self/fd/${descriptor}`) === '/dev/fuse';
	} catch {
		return false;
	}
}

/**
 * libfuse closes its device when the kernel has ended the connection and the last request is answered; a
 * lazy unmount ends it only when the last user is gone, so the mount table would tell too early.
 */
function closed(device: string): Promise<void> {
	return new Promise((resolve) => {
		const timer = setInterval(() => {
			if (isDevice(device)) return;
			clearInterval(timer);
			resolve();
		}, UNMOUNT_POLL);
	});
}
