/**
 * The index database: one SQLite file per collection in the cache directory, readable by its owner alone.
 * It is only a cache of what the target's segments say: another version's file is thrown away and built again.
 */
import { chmodSync, mkdirSync, rmSync } from 'node:fs';
import { dirname } from 'node:path';
import type Database from 'better-sqlite3';
import { openSqlite } from './sqlite.js';

/** Raise it whenever the tables below change, or what a selection or a digest of folders means. */
const SCHEMA_VERSION = 9;

/** Milliseconds to wait for another process that takes in a set. */
const BUSY_TIMEOUT = 60_000;

const TABLES = `
-- One row per backup set that is indexed. id, 1 to MOST_SETS, stands in inode numbers; time (s) names the set.
CREATE TABLE sets (
	id INTEGER PRIMARY KEY,
	time INTEGER NOT NULL UNIQUE,
	kind TEXT NOT NULL,            -- 'full' or 'inc'
	start INTEGER,                 -- the set it builds on; NULL for a full
	chain INTEGER NOT NULL,        -- time of the chain's full set
	key_header BLOB,               -- ESK packets of its segment or manifest, and the session key that they
	session_key BLOB,              -- gave: proves a passphrase without asking the target
	awaits_segment INTEGER NOT NULL DEFAULT 0 -- 1: taken in as duplicity's, because it had no segment then
);
-- The id that was given last. They are given in turns: kernels remember inode numbers of sets that are gone.
CREATE TABLE last_id (id INTEGER NOT NULL);
INSERT INTO last_id VALUES (0);
-- How volumes are read from the middle. id: see volumeId in extents.ts; number 0 is the sigtar.
CREATE TABLE volumes (
	id INTEGER PRIMARY KEY,
	set_time INTEGER NOT NULL,
	name TEXT NOT NULL,
	size INTEGER NOT NULL,
	sha1 TEXT NOT NULL,
	key BLOB,                      -- session key; NULL when not encrypted
	body INTEGER NOT NULL,
	tar_length INTEGER NOT NULL,
	kind TEXT NOT NULL             -- 'own'; 'foreign': read with seek points; 'copy' of a foreign one, in this host's cache
);
-- Objects that duplicity wrote. One that was read once is also among the volumes.
CREATE TABLE foreign_objects (
	id INTEGER PRIMARY KEY,
	set_time INTEGER NOT NULL,
	name TEXT NOT NULL,
	size INTEGER NOT NULL,
	form TEXT NOT NULL,            -- 'gpg', 'gz' or 'plain'
	sha1 TEXT,                     -- what the manifest says; NULL: it says nothing
	first_path BLOB,               -- the manifest's path range, '/' written as NUL; NULL: not known
	last_path BLOB,
	indexed INTEGER NOT NULL       -- 1: its members are in versions and pieces
);
CREATE INDEX foreign_by_set ON foreign_objects (set_time);
-- Pieces of a file's body that may go on in other volumes of the set, until all of these are indexed.
CREATE TABLE pieces (
	node INTEGER NOT NULL,
	set_time INTEGER NOT NULL,
	piece INTEGER NOT NULL,        -- from 1; 0: the body is in one piece
	volume INTEGER NOT NULL,
	offset INTEGER NOT NULL,
	length INTEGER NOT NULL,
	delta INTEGER NOT NULL,        -- 1: of the file's delta, 0: of its content
	PRIMARY KEY (node, set_time, piece)
) WITHOUT ROWID;
CREATE TABLE frames (
	volume INTEGER NOT NULL,
	tar_offset INTEGER NOT NULL,
	tar_length INTEGER NOT NULL,
	offset INTEGER NOT NULL,
	length INTEGER NOT NULL,
	digest BLOB NOT NULL,          -- SHA-256 of its tar bytes; in a foreign volume of the bytes as they are stored
	PRIMARY KEY (volume, tar_offset)
) WITHOUT ROWID;
-- Of each frame of a foreign volume, see SeekPoint in volume/seek-point.ts.
CREATE TABLE seek_points (
	volume INTEGER NOT NULL,
	tar_offset INTEGER NOT NULL,
	outer_left INTEGER NOT NULL,
	cfb_skip INTEGER NOT NULL,
	inflated INTEGER NOT NULL,
	crc INTEGER NOT NULL,
	inner_skip INTEGER NOT NULL,
	inner_left INTEGER NOT NULL,
	state BLOB NOT NULL,
	PRIMARY KEY (volume, tar_offset)
);
-- One row per path that any set has shown. The root is node 1.
CREATE TABLE nodes (
	id INTEGER PRIMARY KEY,
	parent INTEGER NOT NULL,
	name BLOB NOT NULL,
	UNIQUE (parent, name)
);
-- One row per version of a path: shown by the sets of its chain from first to last (times, s).
CREATE TABLE versions (
	node INTEGER NOT NULL,
	chain INTEGER NOT NULL,
	first INTEGER NOT NULL,
	last INTEGER NOT NULL,
	type TEXT NOT NULL,
	mode INTEGER NOT NULL,
	uid INTEGER NOT NULL,
	gid INTEGER NOT NULL,
	uname BLOB NOT NULL,
	gname BLOB NOT NULL,
	mtime INTEGER NOT NULL,
	mtime_ns INTEGER,              -- the part below a second; NULL when unknown
	size INTEGER,                  -- NULL: not known yet (a sigtar does not say)
	link BLOB,
	dev_major INTEGER NOT NULL,
	dev_minor INTEGER NOT NULL,
	extents BLOB,                  -- of the content; NULL: not known yet
	delta BLOB,                    -- extents of the delta that makes the content out of the version before
	sig_volume INTEGER,            -- where its rsync signature lies: sigtar, offset, length
	sig_offset INTEGER,
	sig_length INTEGER,
	xattrs BLOB,                   -- see volume/xattrs.ts; NULL: none, or not known
	hard_link INTEGER,             -- entries of a snapshot with the same number are one file; NULL: one name, or not known
	allocated INTEGER,             -- bytes on disk of a file with holes; NULL: no holes, or not known
	stamp INTEGER,                 -- see stamps.ts; NULL: not known
	PRIMARY KEY (node, chain, first)
) WITHOUT ROWID;
CREATE INDEX versions_with_xattrs ON versions (node) WHERE xattrs IS NOT NULL;
CREATE INDEX versions_by_link ON versions (hard_link, chain) WHERE hard_link IS NOT NULL;
-- What a folder of the source was when a set was made: see folders.ts.
CREATE TABLE folders (
	set_time INTEGER NOT NULL,
	path BLOB NOT NULL,            -- relative to the source
	digest BLOB NOT NULL,
	files INTEGER NOT NULL,        -- entries of the set directly in it that are no folders
	PRIMARY KEY (set_time, path)
) WITHOUT ROWID;
-- A backup run that has begun and whose segment is not known to be on the target.
CREATE TABLE runs (
	time INTEGER PRIMARY KEY,
	kind TEXT NOT NULL,
	start INTEGER,
	segment_header BLOB,           -- set once the segment lies, complete, in the local pending folder
	segment_key BLOB,
	journal_header BLOB,           -- what its journal is encrypted with, and, unless the backup is not encrypted, the
	journal_key BLOB               -- packets that prove the passphrase
);
-- Objects of the target that were read whole and found good.
CREATE TABLE verified (
	name TEXT PRIMARY KEY,
	size INTEGER NOT NULL,         -- as it was then
	time INTEGER NOT NULL          -- when, s
) WITHOUT ROWID;
INSERT INTO nodes (id, parent, name) VALUES (1, 0, x'');
`;

/** Opens, or makes, the database; one of another version or a damaged one is replaced by an empty one. */
export function openDatabase(path: string): Database.Database {
	mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
	try {
		return prepare(openSqlite(path, BUSY_TIMEOUT));
	} catch (error) {
		if (!isUnusable(error)) throw error;
		for (const suffix of ['', '-wal', '-shm']) rmSync(path + suffix, { force: true });
		return prepare(openSqlite(path, BUSY_TIMEOUT));
	}
}

class OtherVersion extends Error {}

function isUnusable(error: unknown): boolean {
	if (error instanceof OtherVersion) return true;
	const code = (error as { code?: string }).code ?? '';
	return code.startsWith('SQLITE_CORRUPT') || code === 'SQLITE_NOTADB';
}

function prepare(db: Database.Database): Database.Database {
	try {
		chmodSync(db.name, 0o600);
		db.exec('PRAGMA journal_mode = WAL');
		// The table of runs must survive the power: it tells the next run what to heal.
		db.exec('PRAGMA synchronous = FULL');
		// Who only reads does not wait for another process that is just taking in a set.
		if (versionOf(db) === SCHEMA_VERSION) return db;
		db.transaction(() => {
			const version = versionOf(db);
			if (version === SCHEMA_VERSION) return;
			const used = db.prepare("SELECT count(*) FROM sqlite_master WHERE type = 'table'").pluck().get();
			if (version !== 0 || used !== 0) throw new OtherVersion();
			db.exec(TABLES);
			db.exec(`PRAGMA user_version = ${SCHEMA_VERSION}`);
		}).immediate();
		return db;
	} catch (error) {
		db.close();
		throw error;
	}
}

function versionOf(db: Database.Database): unknown {
	return db.prepare('PRAGMA user_version').pluck().get();
}
