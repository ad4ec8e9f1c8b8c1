/** Who only reads an index waits for nobody. */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { Index } from '../src/index/index.js';

test('an index can be opened and read while another process writes to it', () => {
	const dir = mkdtempSync(join(tmpdir(), 'tsdup-index-'));
	const path = join(dir, 'index.sqlite');
	const writer = new Index(path);
	writer.db.exec("BEGIN IMMEDIATE; INSERT INTO nodes (id, parent, name) VALUES (2, 1, x'61')");
	const reader = new Index(path);
	assert.deepEqual(reader.sets(), []);
	assert.equal(reader.db.prepare('SELECT count(*) FROM nodes').pluck().get(), 1);
	writer.db.exec('COMMIT');
	assert.equal(reader.db.prepare('SELECT count(*) FROM nodes').pluck().get(), 2);
	for (const index of [reader, writer]) index.close();
	rmSync(dir, { recursive: true });
});
