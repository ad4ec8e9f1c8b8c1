/** Each path has one node, in whatever order an import brings the paths, and over several imports. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { Nodes } from '../src/index/nodes.js';
import { newIndex } from './new-index.js';

test('however paths follow each other, each has a node of its own that leads back to it', (t) => {
	const index = newIndex(t);
	// Few names, one the beginning of another, so that paths come back, and come back as folders.
	const name = fc.constantFrom('a', 'ab', 'b', 'a.b', '\xff');
	const path = fc.array(name, { maxLength: 4 }).map((names) => Buffer.from(names.join('/'), 'latin1'));
	const known = new Map<string, number>();
	fc.assert(
		fc.property(fc.array(fc.array(path, { maxLength: 30 }), { maxLength: 4 }), (imports) => {
			for (const paths of imports) {
				const nodes = new Nodes(index);
				for (const one of paths) {
					const key = one.toString('latin1');
					const node = nodes.of(one);
					assert.equal(node, known.get(key) ?? node, `another node for ${key}`);
					assert.deepEqual(nodes.path(node), one);
					known.set(key, node);
				}
			}
			known.clear();
			index.db.exec('DELETE FROM nodes WHERE id <> 1');
		}),
	);
});

test('a path that no file can have is refused, and spoils nothing for the next one', (t) => {
	const nodes = new Nodes(newIndex(t));
	const node = nodes.of(Buffer.from('a/b'));
	for (const bad of ['a/b/..', 'a/b/.', 'a//b', '/a', 'a/', '..', 'a/b/c\0d']) {
		assert.throws(() => nodes.of(Buffer.from(bad)), /a path that no file can have/, bad);
		assert.equal(nodes.of(Buffer.from('a/b')), node);
	}
});
