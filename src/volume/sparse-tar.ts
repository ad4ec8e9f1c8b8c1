/**
 * A file with holes in a tar archive, in the form that GNU tar calls 1.0 (bsdtar and Python read it as well): PAX records with
 * its name and size, and as its content a map of the places that hold data, then these. Pure.
 */
import type { PaxRecord } from './extras.js';
import { padding } from './tar.js';

/** Bytes of a file that are not a hole. */
export interface Place {
	readonly offset: number;
	readonly length: number;
}

/** @param size of the file with its holes, bytes. @returns the records, and the name that readers see who know nothing of them */
export function sparseRecords(name: Buffer, size: number): { records: PaxRecord[]; shown: Buffer } {
	const slash = name.lastIndexOf('/') + 1;
	const shown = Buffer.concat([
		name.subarray(0, slash),
		Buffer.from('GNUSparseFile.0/'),
		name.subarray(slash),
	]);
	const values = { major: '1', minor: '0', realsize: String(size) };
	const records = Object.entries(values).map(([key, value]) => record(key, Buffer.from(value)));
	return { records: [...records, record('name', name)], shown };
}

function record(key: string, value: Buffer): PaxRecord {
	return { keyword: `GNU.sparse.${key}`, value };
}

/** @param places ascending. @returns whole blocks */
export function sparseMap(places: readonly Place[], size: number): Buffer {
	const last = places.at(-1);
	// One of no length at the end of the file says where that is.
	const all = last && last.offset + last.length === size ? places : [...places, { offset: size, length: 0 }];
	const text = [all.length, ...all.flatMap(({ offset, length }) => [offset, length]), ''].join('\n');
	return Buffer.concat([Buffer.from(text), padding(text.length)]);
}
