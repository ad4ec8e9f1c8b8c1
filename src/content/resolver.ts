/**
 * Finds out what the index does not know yet of a file: its size and where its bytes lie. Own sets say it in their
 * segments; for what duplicity wrote, the volumes that hold the file are read, once, and a delta is resolved against
 * the version before. What was found out is kept in the index for ever.
 */
import { DamageError } from '../errors.js';
import type { SnapshotSet } from '../index/entry.js';
import { type Extent, ExtentMap, encodeExtents, pushExtent } from '../index/extents.js';
import { foreignObject, joinPieces, pendingContent, volumesWith } from '../index/foreign.js';
import type { Index, VersionBody } from '../index/index.js';
import { Nodes } from '../index/nodes.js';
import { isFull } from '../index/sqlite.js';
import { DeltaParser } from '../rsync/commands.js';
import { signedLength } from '../rsync/signature.js';
import type { Content } from './content.js';
import type { ForeignObjects } from './foreign.js';
import { VolumeOrder } from './volume-order.js';

/** Bytes of a delta that are read at once. */
const CHUNK = 2 ** 20;

interface Command {
	readonly copy: boolean;
	/** Copy: in the version before. Literal: in the delta. */
	readonly offset: number;
	readonly length: number;
}

export class Resolver {
	readonly #index: Index;
	readonly #content: Content;
	readonly #foreign: ForeignObjects;
	readonly #order: VolumeOrder;

	constructor(index: Index, content: Content, foreign: ForeignObjects) {
		this.#index = index;
		this.#content = content;
		this.#foreign = foreign;
		this.#order = new VolumeOrder(index);
	}

	/** Bytes of a regular file. @throws DamageError, KeyError, TargetError when they cannot be found out */
	async size(set: SnapshotSet, node: number): Promise<number> {
		const body = await this.#body(set.chain, this.#shown(set, node), node);
		if (body.size !== null) return body.size;
		const commands = await this.#commands(body.delta ?? []);
		const size = commands.reduce((sum, { length }) => sum + length, 0);
		this.#update('size', size, set.chain, body.first, node);
		return size;
	}

	/** Where the bytes of a regular file lie. @throws as `size` */
	extents(set: SnapshotSet, node: number): Promise<Extent[]> {
		return this.#extents(set.chain, this.#shown(set, node), node);
	}

	async #extents(chain: number, version: VersionBody, node: number): Promise<Extent[]> {
		const body = await this.#body(chain, version, node);
		if (body.extents) return [...body.extents];
		const delta = body.delta ?? [];
		const commands = await this.#commands(delta);
		const literals = new ExtentMap(delta);
		// A delta that copies nothing does not need the version before, which may be lost.
		const map = commands.some(({ copy }) => copy) ? await this.#mapBefore(chain, body, node) : literals;
		const extents: Extent[] = [];
		let size = 0;
		for (const { copy, offset, length } of commands) {
			for (const extent of (copy ? map : literals).slice(offset, length)) pushExtent(extents, extent);
			size += length;
		}
		this.#update('extents', encodeExtents(extents), chain, body.first, node);
		this.#update('size', size, chain, body.first, node);
		return extents;
	}

	async #mapBefore(chain: number, { first }: VersionBody, node: number): Promise<ExtentMap> {
		const before = this.#index.bodyBefore(node, chain, first);
		if (!before) throw new DamageError(`${this.#name(node)} is a change of a version that is not there.`);
		return new ExtentMap(await this.#extents(chain, before, node));
	}

	#shown(set: SnapshotSet, node: number): VersionBody {
		const body = this.#index.body(set, node);
		if (!body) throw new DamageError(`The index lost ${this.#name(node)}: run \`tsdup index rebuild\`.`);
		return body;
	}

	/** The version's body, of which extents or a delta are known after this. */
	async #body(chain: number, version: VersionBody, node: number): Promise<VersionBody> {
		if (version.extents || version.delta) return version;
		const path = new Nodes(this.#index).path(node);
		const missing = volumesWith(this.#index, version.first, path).filter(({ indexed }) => !indexed);
		const after = this.#order.next(missing);
		let failure: unknown = null;
		for (const [i, { id }] of missing.entries()) {
			const next = missing[i + 1]?.id ?? after;
			// While this one is waited for. If it fails, that is met when its turn comes.
			if (next !== null) this.#foreign.fetch(next).catch(() => {});
			// It may have come while the one before was waited for.
			if (foreignObject(this.#index, id)?.indexed) continue;
			await this.#foreign.fetch(id).catch((error) => {
				failure ??= error;
			});
		}
		if (!failure) {
			await this.#checkPieces(chain, version.first, node);
			joinPieces(this.#index, chain, version.first, node);
		}
		const body = this.#index.bodyAt(node, chain, version.first);
		if (body?.extents || body?.delta) return body;
		throw (
			failure ?? new DamageError(`The volumes of its set do not hold ${this.#name(node)}, or not all of it.`)
		);
	}

	/** Where the manifest may be wrong about the volumes that a file lies in, its signature tells whether the end is there. */
	async #checkPieces(chain: number, setTime: number, node: number): Promise<void> {
		const pending = pendingContent(this.#index, setTime, node);
		if (!pending || pending.complete) return;
		const signature = this.#index.signature({ chain, time: setTime }, node);
		// A set that was listed from its volumes has none: they are all there, then.
		if (!signature) return;
		const header = await this.#content.read([{ ...signature, length: Math.min(12, signature.length) }]);
		const { least, most } = signedLength(header, signature.length);
		if (pending.length >= least && pending.length <= most) return;
		throw new DamageError(
			`The volumes of its set do not hold all of ${this.#name(node)}: ${pending.length} bytes instead of ${least} or more.`,
		);
	}

	async #commands(delta: readonly Extent[]): Promise<Command[]> {
		const commands: Command[] = [];
		const parser = new DeltaParser({
			literal: (length, offset) => commands.push({ copy: false, offset, length }),
			copy: (offset, length) => commands.push({ copy: true, offset, length }),
		});
		const bytes = new ExtentMap(delta);
		for (let offset = 0; offset < bytes.length; offset += CHUNK) {
			parser.push(await this.#content.read(bytes.slice(offset, Math.min(CHUNK, bytes.length - offset))));
		}
		parser.end();
		return commands;
	}

	/** Where there is no room for it, it is found out again next time. */
	#update(
		column: 'size' | 'extents',
		value: number | Buffer,
		chain: number,
		first: number,
		node: number,
	): void {
		const update = `UPDATE versions SET ${column} = ? WHERE node = ? AND chain = ? AND first = ?`;
		try {
			this.#index.db.prepare(update).run(value, node, chain, first);
		} catch (error) {
			if (!isFull(error)) throw error;
		}
	}

	#name(node: number): string {
		return JSON.stringify(new Nodes(this.#index).path(node).toString());
	}
}
