/** Whether an entry of the source is backed up: the selection's rules, asked of what the system shows. */
import type { Selection, SelectionEntry } from '../profile/selection.js';
import { childPath, exists, isTsdupMount, listDirectory, type SourceMetadata, sourcePath } from './source.js';

export interface Selecting {
	readonly root: Buffer;
	/** Whether a path relative to the root is backed up. 'scan': a directory that is if something inside is. */
	readonly selection: Pick<Selection, 'select'>;
	/** Number of the file system that the root is on. */
	readonly device: bigint;
	/** Told of what could not be read: it keeps its state in the snapshot before. */
	unreadable(path: Buffer, error: unknown): void;
}

/** A directory that is only scanned counts when anything inside it does. */
export function isSelected(source: Selecting, path: Buffer, metadata: SourceMetadata): boolean {
	if (metadata.device !== Number(source.device) && isTsdupMount(metadata.device)) return false;
	const verdict = source.selection.select(path, facts(source, path, metadata));
	if (verdict !== 'scan') return verdict === 'include';
	try {
		for (const { name, metadata } of listDirectory(sourcePath(source.root, path), null).entries) {
			const found = metadata();
			if (found !== null && isSelected(source, childPath(path, name), found)) return true;
		}
		return false;
	} catch (error) {
		source.unreadable(path, error);
		return false;
	}
}

function facts(source: Selecting, path: Buffer, { type, device, mtime }: SourceMetadata): SelectionEntry {
	return {
		isDirectory: type === 'dir',
		isFile: type === 'file',
		mtime,
		isDevice: type === 'chardev' || type === 'blockdev',
		onOtherFilesystem: device !== Number(source.device),
		contains: (name) => exists(sourcePath(source.root, childPath(path, name))),
	};
}
