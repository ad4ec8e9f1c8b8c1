/** What a backup would store, entry by entry; nothing is read but the walk. */
import type { SetName } from '../collection/names.js';
import type { Before } from '../source/former.js';
import { changes } from './changes.js';
import type { BackupOptions } from './options.js';
import { type BackupReport, newCounts } from './report.js';

export function wouldStore(options: BackupOptions, set: SetName, before: Before | null): BackupReport {
	const counts = newCounts();
	let touched = 0;
	for (const change of changes(options, counts, before, true)) {
		if (change.kind === 'folder') {
			counts.entries += change.untold;
			continue;
		}
		if (change.kind !== 'deleted') counts.entries++;
		if (change.kind === 'touched') touched++;
		if (change.kind === 'same' || change.kind === 'touched') continue;
		const effect = change.kind === 'deleted' ? 'deleted' : change.previous ? 'changed' : 'new';
		counts[`${effect}Entries`]++;
		options.reporter.would(effect, change.path);
		if (change.kind === 'stored') counts.bytesRead += change.metadata.size;
	}
	if (touched > 0) {
		options.reporter.note(
			`With another inode or ctime only: ${touched}. A backup reads these, and stores those that have changed.`,
		);
	}
	return { set, ...counts };
}
