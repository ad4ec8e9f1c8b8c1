/**
 * One run that changes something at a time per collection and host: an exclusive lock on a small SQLite file, which the system gives
 * back when the process ends, however it ends. So there is never a stale lock.
 */
import { chmodSync, mkdirSync } from 'node:fs';
import { dirname } from 'node:path';
import { LockError } from '../errors.js';
import { openSqlite } from './sqlite.js';

/** @returns how to give the lock back. @throws LockError when another run holds it */
export function takeLock(path: string): () => void {
	mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
	const db = openSqlite(path, 0);
	chmodSync(path, 0o600);
	try {
		db.exec('BEGIN EXCLUSIVE');
	} catch (error) {
		db.close();
		throw new LockError('Another run works on this collection: wait for it to end, then start again.', {
			cause: error,
		});
	}
	return () => db.close();
}
