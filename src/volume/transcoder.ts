/**
 * Copies the decrypted tar of a volume that cannot be read from the middle through a `VolumeWriter`, and tells what is in it
 * on the way: one pass gives a seekable copy, where each body lies, and what its deltas do. Bodies are not held.
 */
import { DamageError } from '../errors.js';
import type { DeltaParser } from '../rsync/commands.js';
import { type Member, parseMember } from './members.js';
import { readTar, type TarMember } from './tar-reader.js';
import type { VolumeWriter } from './writer.js';

export interface MemberSink {
	/**
	 * Called for each member in its order, before its body is read.
	 * @param offset of its body in the tar
	 * @returns what shall take the bytes of the body, or null. The pieces of a delta are one delta, which may have begun in
	 * another volume and may end in another: so the sink keeps its parser, gives it again for the next piece, and calls its
	 * `end`. A literal at `deltaOffset` lies in the tar at `offset + deltaOffset -` the sizes of the pieces before.
	 */
	member(member: Member, offset: number): DeltaParser | null;
	/** A member, named as in the tar, that is none of duplicity's, or at whose body its parser threw. The others go on. */
	damaged(name: Buffer, error: DamageError): void;
}

/**
 * Writes the whole tar, also what follows its end; finishing or aborting the writer is the caller's.
 * @param what the object's name, for messages
 * @throws DamageError when it is no tar or cut off (what the sink was told before may be used no more than the writer's
 * bytes); whatever the source, the writer or the sink throw
 */
export async function transcode(
	tar: AsyncIterable<Buffer>,
	what: string,
	writer: VolumeWriter,
	sink: MemberSink,
): Promise<void> {
	for await (const member of readTar(copied(tar, writer), what)) {
		const parser = announce(member, sink);
		if (parser) await feed(member, parser, sink);
	}
}

function announce({ header, offset }: TarMember, sink: MemberSink): DeltaParser | null {
	let member: Member;
	try {
		member = parseMember(header);
	} catch (error) {
		contain(error, header.name, sink);
		return null;
	}
	return sink.member(member, offset);
}

async function feed({ header, body }: TarMember, parser: DeltaParser, sink: MemberSink): Promise<void> {
	for await (const bytes of body) {
		try {
			parser.push(bytes);
		} catch (error) {
			contain(error, header.name, sink);
			return;
		}
	}
}

function contain(error: unknown, name: Buffer, sink: MemberSink): void {
	if (!(error instanceof DamageError)) throw error;
	sink.damaged(name, error);
}

async function* copied(tar: AsyncIterable<Buffer>, writer: VolumeWriter): AsyncGenerator<Buffer, void> {
	for await (const chunk of tar) {
		await writer.write(chunk);
		yield chunk;
	}
}
