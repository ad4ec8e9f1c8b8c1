/** What a backup is told. */
import type { Encryptor } from '../openpgp/encryptor.js';
import type { Opener } from '../openpgp/opener.js';
import type { Selection } from '../profile/selection.js';
import type { Target } from '../target/target.js';
import type { Reporter } from './report.js';

export interface BackupOptions {
	/** Absolute. */
	source: Buffer;
	selection: Pick<Selection, 'select'>;
	target: Target;
	/** null: unencrypted. */
	encryptor: Encryptor | null;
	/** Encryption to public keys: backups need no secret. */
	publicKeys: boolean;
	opener: Opener;
	/** The collection's own. */
	cacheDir: string;
	/** 'auto': incremental when there is something to build on. */
	mode: 'auto' | 'full' | 'incremental';
	/** A full is due when the last one is older than this time (s); null: never by age. */
	fullIfBefore: number | null;
	/** Bytes. */
	volumeSize: number;
	dryRun: boolean;
	/**
	 * What is backed up and for whom, in any words: an interrupted run of another plan is not gone on with, so that what was
	 * excluded since is not in it.
	 */
	plan: string;
	/** Whether the selection asks for ages, of which the plan does not have all: the same entry may be selected in one run only. */
	selectsByAge: boolean;
	/** Seconds. */
	now: number;
	reporter: Reporter;
}
