/** Which objects of the target a set consists of: those that are there, and those that should be. */
import type { BackupSet, SetObject } from '../collection/backup-set.js';
import { manifestName, segmentName, sigtarName } from '../collection/names.js';
import { volumeId, volumeNumber } from '../index/extents.js';
import type { Index } from '../index/index.js';
import { openRuns } from '../index/runs.js';

export interface Item {
	readonly set: BackupSet;
	readonly part: 'manifest' | 'segment' | 'sigtar' | 'volume';
	/** Of a volume, from 1; else 0. */
	readonly number: number;
	readonly name: string;
	/** null: it is not on the target. */
	readonly object: SetObject | null;
}

/** The objects of a set in the order that tells most: its manifest first. */
export function itemsOf(index: Index, set: BackupSet): Item[] {
	const protection = set.manifest?.encrypted || set.sigtar?.encrypted ? 'gpg' : 'none';
	const item = (part: Item['part'], name: string, object: SetObject | null, number = 0): Item => {
		return { set, part, number, name: object?.name ?? name, object };
	};
	const known = knownObjects(index, set.time);
	const items = [item('manifest', manifestName(set, protection), set.manifest)];
	if (set.segment || (known.isOwn && !waits(index, set))) {
		items.push(item('segment', segmentName(set, protection), set.segment));
	}
	items.push(item('sigtar', known.names.get(0) ?? sigtarName(set, protection), set.sigtar));
	const listed = new Map(set.volumes.map((volume) => [volume.number, volume]));
	// A resumed run of duplicity's leaves volumes that its manifest does not list: the index does not have them either.
	const numbers = known.names.size > 0 ? known.names.keys() : listed.keys();
	for (const number of [...numbers].sort((a, b) => a - b)) {
		if (number === 0) continue;
		items.push(item('volume', known.names.get(number) ?? '', listed.get(number) ?? null, number));
	}
	return items;
}

/** What the index knows of a set: its objects by number (0: the sigtar), and whether tsdup wrote them. */
function knownObjects({ db }: Index, setTime: number): { names: Map<number, string>; isOwn: boolean } {
	const rows = db
		.prepare(
			`SELECT id, name, 1 AS own FROM volumes WHERE id BETWEEN ? AND ? AND kind = 'own'
			UNION SELECT id, name, 0 FROM foreign_objects WHERE id BETWEEN ? AND ?`,
		)
		.all(...firstAndLast(setTime), ...firstAndLast(setTime)) as { id: number; name: string; own: number }[];
	return {
		names: new Map(rows.map(({ id, name }) => [volumeNumber(id), name])),
		isOwn: rows.some(({ own }) => own === 1),
	};
}

function firstAndLast(setTime: number): [number, number] {
	return [volumeId(setTime, 0), volumeId(setTime + 1, 0) - 1];
}

/** Its segment is still on its way: the next backup puts it there. */
function waits(index: Index, set: BackupSet): boolean {
	return openRuns(index).some((run) => run.set.time === set.time && run.segmentReady);
}
