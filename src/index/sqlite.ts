/**
 * SQLite databases, opened so that nothing of them is ever garbage collected. Since Node 24.19 the process aborts when an object
 * of better-sqlite3 12 is collected while no script runs (the base class of its objects, node::ObjectWrap, then looks for
 * an environment that is not entered); better-sqlite3 13 mends it but does not run on Node 20. Few databases are opened
 * in a process, and each has a fixed number of statements.
 */
import Database from 'better-sqlite3';

const kept: unknown[] = [];

/** What a person is told then. */
export const CACHE_FULL =
	'The disk that the cache is on is full: make room, or have the cache elsewhere (XDG_CACHE_HOME)';

/** Whether the disk had no room for what was to be written to a database. */
export function isFull(error: unknown): boolean {
	return (error as { code?: string } | null)?.code === 'SQLITE_FULL';
}

/** Whether another process went on writing for longer than the timeout. */
export function isBusy(error: unknown): boolean {
	return (error as { code?: string } | null)?.code === 'SQLITE_BUSY';
}

/** @param timeout ms to wait for another process's lock */
export function openSqlite(path: string, timeout: number): Database.Database {
	const db = new Database(path, { timeout });
	const statements = new Map<string, Database.Statement>();
	const prepare = db.prepare.bind(db) as (sql: string) => Database.Statement;
	db.prepare = ((sql: string) => {
		const known = statements.get(sql) ?? prepare(sql);
		statements.set(sql, known);
		return known;
	}) as typeof db.prepare;
	kept.push(db, statements);
	return db;
}
