/** tsdup's mounts as the kernel lists them; called by `umount` and by the checks of a mountpoint. */
import { readFile } from 'node:fs/promises';

/** The type that drivers mount with (fuse, subtype tsdup). */
const TYPE = 'fuse.tsdup';

export interface TableEntry {
	/** Absolute, without symlinks. */
	mountpoint: string;
	source: string;
	type: string;
	/** The user who mounted it; only FUSE tells. */
	uid: number | undefined;
}

/** Everything that is mounted, oldest first. */
export async function readTable(): Promise<TableEntry[]> {
	const text = await readFile('/proc/self/mounts', 'latin1');
	return text
		.split('\n')
		.filter((line) => line !== '')
		.map((line) => {
			const [source = '', mountpoint = '', type = '', words = ''] = line.split(' ');
			const uid = /(?:^|,)user_id=(\d+)/.exec(words)?.[1];
			return {
				mountpoint: decodeOctal(mountpoint),
				source: decodeOctal(source),
				type,
				uid: uid === undefined ? undefined : Number(uid),
			};
		});
}

/** The tsdup mounts of all users, oldest first. */
export async function allMounts(): Promise<TableEntry[]> {
	return (await readTable()).filter((entry) => entry.type === TYPE);
}

/** The tsdup mounts of the user who asks, oldest first. */
export async function listMounts(): Promise<{ mountpoint: string; source: string }[]> {
	const own = (await allMounts()).filter((entry) => entry.uid === process.getuid?.());
	return own.map(({ mountpoint, source }) => ({ mountpoint, source }));
}

/** The kernel writes space, tab, newline, backslash and # as three octal digits. */
function decodeOctal(field: string): string {
	const bytes = field.replace(/\\([0-7]{3})/g, (_, octal: string) =>
		String.fromCharCode(Number.parseInt(octal, 8)),
	);
	return Buffer.from(bytes, 'latin1').toString();
}
