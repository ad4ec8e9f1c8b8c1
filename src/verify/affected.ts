/** Which files of a snapshot cannot be read because of what is damaged or lost. */
import type { Resolver } from '../content/resolver.js';
import { TsdupError } from '../errors.js';
import type { SnapshotSet } from '../index/entry.js';
import type { Extent } from '../index/extents.js';
import { volumesWith } from '../index/foreign.js';
import type { Index, VersionBody } from '../index/index.js';
import { Nodes } from '../index/nodes.js';
import type { TarRun } from './frames.js';

/** Of a volume's tar, by the volume's id; null: all of it. */
export type Damage = ReadonlyMap<number, readonly TarRun[] | null>;

export interface LostFile {
	readonly path: Buffer;
	readonly reason: string;
}

/** In the order that the index has them, not of paths. @throws TargetError */
export async function* lostFiles(
	index: Index,
	resolver: Resolver,
	set: SnapshotSet,
	damage: Damage,
): AsyncGenerator<LostFile, void> {
	// All of them at once: nothing else may be asked of a database while a statement of its is being stepped through.
	const files = index.db
		.prepare(
			`SELECT node FROM versions WHERE chain = ? AND first <= ? AND last >= ? AND type = 'file' AND coalesce(size, 1) > 0`,
		)
		.pluck()
		.all(set.chain, set.time, set.time) as number[];
	const nodes = new Nodes(index);
	for (const node of files) {
		const body = index.body(set, node);
		if (!body || !mayBeIn(index, nodes, set.chain, node, body, damage)) continue;
		const reason = await whyLost(resolver, set, node, damage);
		if (reason) yield { path: nodes.path(node), reason };
	}
}

/** Whether a file's content, or what it is made of, may lie in the damage, as far as that can be told without reading. */
function mayBeIn(
	index: Index,
	nodes: Nodes,
	chain: number,
	node: number,
	body: VersionBody,
	damage: Damage,
): boolean {
	if (body.extents) return isIn(body.extents, damage);
	if (!body.delta) {
		return volumesWith(index, body.first, nodes.path(node)).some(({ id }) => damage.has(id));
	}
	if (isIn(body.delta, damage)) return true;
	const before = index.bodyBefore(node, chain, body.first);
	return before !== undefined && mayBeIn(index, nodes, chain, node, before, damage);
}

async function whyLost(
	resolver: Resolver,
	set: SnapshotSet,
	node: number,
	damage: Damage,
): Promise<string | null> {
	try {
		const extents = await resolver.extents(set, node);
		return isIn(extents, damage) ? 'a part of it lies in what is damaged or missing' : null;
	} catch (error) {
		if (error instanceof TsdupError) return error.message;
		throw error;
	}
}

function isIn(extents: readonly Extent[], damage: Damage): boolean {
	return extents.some(({ volume, offset, length }) => {
		const runs = damage.get(volume);
		if (runs === undefined) return false;
		return runs === null || runs.some(({ start, end }) => offset < end && offset + length > start);
	});
}
