/** An empty index, until the test ends. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { Index } from '../src/index/index.js';

export function newIndex(t: TestContext): Index {
	const dir = mkdtempSync(join(tmpdir(), 'tsdup-index-'));
	const index = new Index(join(dir, 'index.sqlite'));
	t.after(() => {
		index.close();
		rmSync(dir, { recursive: true });
	});
	return index;
}
