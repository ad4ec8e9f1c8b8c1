/** What a restore did, and what it could not do. */
import { TsdupError } from '../errors.js';

/** Exit code "done with warnings". */
const METADATA_LOST = 3;

export interface RestoreReport {
	/** Entries that are there now. */
	entries: number;
	/** Files among them that were there already. */
	skipped: number;
	/** Written. */
	bytes: number;
	/** Entries whose owner, and devices that, only root could have restored. */
	ownersLost: number;
	devicesLost: number;
	/** Paths that could not be restored as they were, and why. */
	problems: { path: Buffer; reason: string }[];
	/** Exit code of the gravest problem; 0 when there is none. */
	exit: number;
}

export function emptyReport(): RestoreReport {
	return { entries: 0, skipped: 0, bytes: 0, ownersLost: 0, devicesLost: 0, problems: [], exit: 0 };
}

/** It is there, but not all that belongs to it. */
export function noteLoss(report: RestoreReport, path: Buffer, reason: string): void {
	report.problems.push({ path, reason });
	if (report.exit === 0) report.exit = METADATA_LOST;
}

/** It is not there. */
export function noteFailure(report: RestoreReport, path: Buffer, error: unknown): void {
	const reason = error instanceof Error ? error.message : String(error);
	report.problems.push({ path, reason });
	const { exit } = error instanceof TsdupError ? error : new TsdupError('');
	// Done with warnings is the mildest, whatever its number.
	if (report.exit === 0 || report.exit === METADATA_LOST) report.exit = exit;
	else if (exit !== METADATA_LOST) report.exit = Math.max(report.exit, exit);
}
