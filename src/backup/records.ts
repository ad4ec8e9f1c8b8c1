/**
 * What a set records of each entry besides its data: the signature for the next increment (in the sigtar), the line for the
 * index (in the segment), and, on this host only, the stamp.
 */

import type { FileChange } from '../collection/manifest.js';
import type { Metadata, SignatureRef } from '../index/entry.js';
import { volumeId } from '../index/extents.js';
import { formatLine, type SegmentLine } from '../index/segment.js';
import type { StampWriter } from '../index/stamps.js';
import { endOfArchive, padding, tarHeader } from '../volume/tar.js';
import type { VolumeWriter } from '../volume/writer.js';
import type { Checkpoints } from './checkpoints.js';
import { tarEntry } from './difftar.js';
import type { StoredContent } from './file.js';

/** What was recorded of one path. */
export interface Recorded {
	path: Buffer;
	/** null: deleted. */
	metadata: Metadata | null;
	content: StoredContent;
	/** Of a regular file's content. */
	signature: Buffer | null;
	/** For the manifest; null for what it does not list: all but regular files. */
	change: FileChange | null;
	/** What the set does to this path. */
	effect: FileChange;
	/** null: not known, or deleted. */
	stamp: number | null;
	/** It was noted by the run that this one goes on with. */
	kept?: true;
}

const NONE = Buffer.alloc(0);

export class Records {
	readonly #sigtar: VolumeWriter;
	readonly #segment: VolumeWriter;
	readonly #stamps: StampWriter;
	readonly #sigtarId: number;
	readonly #checkpoints: Checkpoints;
	#entries = 0;

	constructor(
		setTime: number,
		sigtar: VolumeWriter,
		segment: VolumeWriter,
		stamps: StampWriter,
		checkpoints: Checkpoints,
	) {
		this.#checkpoints = checkpoints;
		this.#sigtar = sigtar;
		this.#segment = segment;
		this.#stamps = stamps;
		this.#sigtarId = volumeId(setTime, 0);
	}

	/** The segment's first line. */
	begin(set: Extract<SegmentLine, { kind: 'set' }>['set']): void {
		// It fits into the first frame: there is nothing to wait for.
		this.#segment.write(formatLine({ kind: 'set', set }));
	}

	/** Resolves when another may be added. @throws what writing an earlier one failed with */
	async add({ path, metadata, content, signature, change, effect, stamp, kept }: Recorded): Promise<void> {
		const bytes = signature ?? NONE;
		const kind = metadata === null ? 'deleted/' : metadata.type === 'file' ? 'signature/' : 'snapshot/';
		const slash = metadata?.type === 'dir' && path.length > 0 ? '/' : '';
		const name = Buffer.concat([Buffer.from(kind), path, Buffer.from(slash)]);
		await this.#sigtar.write(tarHeader(tarEntry(name, metadata, bytes.length)));
		const reference: SignatureRef = {
			volume: this.#sigtarId,
			offset: this.#sigtar.tarLength,
			length: bytes.length,
		};
		await this.#sigtar.write(bytes);
		await this.#sigtar.write(padding(bytes.length));
		const line: SegmentLine = metadata
			? { kind: 'entry', path, metadata, ...content, signature: metadata.type === 'file' ? reference : null }
			: { kind: 'deleted', path };
		const formatted = formatLine(line);
		await this.#segment.write(formatted);
		await this.#stamps.add(stamp);
		const signed = metadata?.type === 'file' ? bytes : null;
		if (!kept) this.#checkpoints.entry(formatted, { signature: signed, change, effect, stamp });
		this.#entries++;
	}

	/** Ends the sigtar's tar; the segment stays open for its volumes. @returns the number of entries recorded */
	async finish(): Promise<number> {
		await this.#sigtar.write(endOfArchive(this.#sigtar.tarLength));
		await this.#stamps.finish();
		return this.#entries;
	}
}
