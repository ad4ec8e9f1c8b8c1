/** What a backup builds on, and what it is called. */
import type { Collection } from '../collection/backup-set.js';
import type { SetName } from '../collection/names.js';
import { UsageError } from '../errors.js';
import type { Index } from '../index/index.js';
import type { Before } from '../source/former.js';
import type { BackupOptions } from './options.js';

/** An indexed set of that time; null for none. */
export function setAt(index: Index, time: number | null): Before | null {
	const set = index.sets().find((candidate) => candidate.time === time);
	return set ? { index, set } : null;
}

/** What an incremental builds on: the newest chain's last set, when it is indexed; null makes a full. */
export function baseOf(
	index: Index,
	{ newest }: Collection,
	{ mode, fullIfBefore, reporter }: Pick<BackupOptions, 'mode' | 'fullIfBefore' | 'reporter'>,
): Before | null {
	if (mode === 'full') return null;
	const set = index.sets().find(({ time }) => time === newest?.end);
	if (newest && set) {
		const due = mode === 'auto' && fullIfBefore !== null && newest.start < fullIfBefore;
		return due ? null : { index, set };
	}
	if (mode === 'incremental') {
		throw new UsageError('There is no backup that an incremental could build on: run a full one (--full).');
	}
	if (newest) reporter.note('The newest backup cannot be built on: this one is a full.');
	return null;
}

/** Set times must increase, whatever the clock does. @param now s */
export function nameOf(collection: Collection, before: Before | null, now: number): SetName {
	const known = [...allSets(collection), ...(before ? [before.set] : [])];
	const last = known.reduce((max, set) => Math.max(max, set.time), 0);
	const time = Math.max(Math.floor(now), last + 1);
	return before ? { kind: 'inc', start: before.set.time, time } : { kind: 'full', start: null, time };
}

/** Whatever has a time there already. */
export function allSets({ chains, incomplete, orphaned }: Collection): { time: number }[] {
	return [...chains.flatMap((chain) => chain.sets), ...incomplete, ...orphaned];
}
