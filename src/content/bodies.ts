/** What is learnt from the tar of a foreign volume: where the bodies of its files lie, and the sizes of the files that it changes. */
import { DamageError } from '../errors.js';
import { type ForeignObject, type Member, recordMembers, recordSizes } from '../index/foreign.js';
import type { Index } from '../index/index.js';
import { DeltaParser } from '../rsync/commands.js';
import { parseMember } from '../volume/members.js';
import type { TarHeader } from '../volume/tar-header.js';
import { readTar } from '../volume/tar-reader.js';

export interface Bodies {
	readonly members: readonly Member[];
	readonly sizes: readonly { path: Buffer; size: number }[];
}

/** Reads the tar to its end, without holding it. @throws DamageError when it is none, and what `tar` throws */
export async function readBodies(tar: AsyncIterable<Buffer>, what: string): Promise<Bodies> {
	const members: Member[] = [];
	const sizes: { path: Buffer; size: number }[] = [];
	for await (const { header, offset, body } of readTar(tar, what)) {
		const member = bodyOf(header, offset);
		if (!member) continue;
		members.push(member);
		// A delta in pieces is rare, and may go on in the next volume: its first `stat` reads it.
		if (!member.delta || member.piece !== null) continue;
		const size = await deltaSize(body);
		if (size !== null) sizes.push({ path: member.path, size });
	}
	return { members, sizes };
}

/** Notes them in the index; within a transaction. */
export function recordBodies(index: Index, volume: ForeignObject, { members, sizes }: Bodies): void {
	recordMembers(index, volume, members);
	recordSizes(index, volume.setTime, sizes);
}

/** The body of a regular file, or of its delta; null for others. A member that makes no sense costs that file only. */
function bodyOf(header: TarHeader, offset: number): Member | null {
	try {
		const { kind, path, piece, size, metadata } = parseMember(header);
		if (metadata.type !== 'file' || (kind !== 'snapshot' && kind !== 'diff')) return null;
		return { path, delta: kind === 'diff', piece, offset, length: size };
	} catch (error) {
		if (error instanceof DamageError) return null;
		throw error;
	}
}

/** Bytes of the file that a delta makes; null when it is damaged, which whoever opens the file is told. */
async function deltaSize(delta: AsyncIterable<Buffer>): Promise<number | null> {
	let size = 0;
	const count = (length: number) => {
		size += length;
	};
	const parser = new DeltaParser({ literal: count, copy: (_, length) => count(length) });
	try {
		for await (const chunk of delta) parser.push(chunk);
		parser.end();
	} catch (error) {
		if (error instanceof DamageError) return null;
		throw error;
	}
	return size;
}
