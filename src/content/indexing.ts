/**
 * Learns the sizes of all files in foreign volumes ahead of time, so that no `stat` has to wait for a volume. Each volume is
 * read once, in order, as a stream; nothing but the index is stored.
 */
import { DamageError, MissingObjectError } from '../errors.js';
import {
	type ForeignObject,
	foreignVolumes,
	joinAllPieces,
	type Member,
	recordMembers,
	recordSizes,
} from '../index/foreign.js';
import type { Index } from '../index/index.js';
import { DeltaParser } from '../rsync/commands.js';
import { parseMember } from '../volume/members.js';
import type { TarHeader } from '../volume/tar-header.js';
import { readTar } from '../volume/tar-reader.js';
import { type ForeignReader, fileBody, readWhole } from './stored-bytes.js';

export interface IndexingProgress {
	readonly volume: string;
	readonly done: number;
	readonly of: number;
}

/** @returns the volumes that could not be read, and why. @throws KeyError, TargetError */
export async function indexAll(
	index: Index,
	reader: ForeignReader,
	progress: (state: IndexingProgress) => void,
): Promise<string[]> {
	const volumes = index.sets().flatMap((set) => foreignVolumes(index, set.time));
	const waiting = volumes.filter((volume) => !volume.indexed);
	const failures: string[] = [];
	for (const [i, volume] of waiting.entries()) {
		progress({ volume: volume.name, done: i, of: waiting.length });
		try {
			await indexVolume(index, volume, reader);
		} catch (error) {
			if (!(error instanceof DamageError || error instanceof MissingObjectError)) throw error;
			failures.push(error.message);
		}
	}
	for (const set of index.sets()) joinAllPieces(index, set.time);
	return failures;
}

async function indexVolume(index: Index, volume: ForeignObject, reader: ForeignReader): Promise<void> {
	const sizes: { path: Buffer; size: number }[] = [];
	const members = await readWhole(volume, reader, async (tar) => {
		const found: Member[] = [];
		for await (const { header, offset, body } of readTar(tar, volume.name)) {
			const member = bodyOf(header, offset);
			if (!member) continue;
			found.push(member);
			// A delta in pieces is rare, and may go on in the next volume: its first `stat` reads it.
			if (member.delta && member.piece === null)
				sizes.push({ path: member.path, size: await deltaSize(body) });
		}
		return found;
	});
	index.db
		.transaction(() => {
			recordMembers(index, volume, members);
			recordSizes(index, volume.setTime, sizes);
		})
		.immediate();
}

/** A member that makes no sense costs that file only: its size stays unknown. */
function bodyOf(header: TarHeader, offset: number): Member | null {
	try {
		return fileBody(parseMember(header), offset);
	} catch (error) {
		if (error instanceof DamageError) return null;
		throw error;
	}
}

/** Bytes of the file that a delta makes. */
async function deltaSize(delta: AsyncIterable<Buffer>): Promise<number> {
	let size = 0;
	const count = (length: number) => {
		size += length;
	};
	const parser = new DeltaParser({ literal: count, copy: (_, length) => count(length) });
	for await (const chunk of delta) parser.push(chunk);
	parser.end();
	return size;
}
