import assert from 'node:assert/strict';
import test from 'node:test';
import { DamageError } from '../src/errors.js';
import { type Member, parseMember } from '../src/volume/members.js';
import type { TarHeader } from '../src/volume/tar-header.js';

const header: TarHeader = {
	name: Buffer.from('snapshot/file'),
	type: 'file',
	size: 0,
	mode: 0o644,
	uid: 1000,
	gid: 100,
	uname: Buffer.from('someone'),
	gname: Buffer.from('users'),
	mtime: 1700000000,
	linkname: null,
	devMajor: 0,
	devMinor: 0,
	mtimeNs: null,
	xattrs: null,
	hardLink: null,
	allocated: null,
};

function member(name: string, fields: Partial<TarHeader> = {}): Member {
	return parseMember({ ...header, name: Buffer.from(name, 'latin1'), ...fields });
}

test('kind, path and piece are told from the name, in every spelling', () => {
	const names: Record<string, [Member['kind'], string, number | null]> = {
		snapshot: ['snapshot', '', null],
		'snapshot/': ['snapshot', '', null],
		'snapshot/.': ['snapshot', '', null],
		'snapshot/./': ['snapshot', '', null],
		'snapshot/dir/': ['snapshot', 'dir', null],
		'snapshot/a/b': ['snapshot', 'a/b', null],
		'snapshot/multivol_diff/1': ['snapshot', 'multivol_diff/1', null],
		'snapshot/...': ['snapshot', '...', null],
		'snapshot/.a/..b/c.': ['snapshot', '.a/..b/c.', null],
		'snapshot/ a\n\\\xe4': ['snapshot', ' a\n\\\xe4', null],
		'diff/': ['diff', '', null],
		'diff/a': ['diff', 'a', null],
		'signature/': ['signature', '', null],
		'signature/a': ['signature', 'a', null],
		'deleted/a/b': ['deleted', 'a/b', null],
		'deleted/': ['deleted', '', null],
		'multivol_snapshot/./1': ['snapshot', '', 1],
		'multivol_snapshot/1': ['snapshot', '', 1],
		'multivol_snapshot/1/12': ['snapshot', '1', 12],
		'multivol_diff/a/b/3': ['diff', 'a/b', 3],
		'multivol_diff/multivol_diff/1': ['diff', 'multivol_diff', 1],
	};
	for (const [name, expected] of Object.entries(names)) {
		const { kind, path, piece } = member(name);
		assert.deepEqual([kind, path.toString('latin1'), piece], expected, name);
	}
});

test('names and types that duplicity cannot have written are refused', () => {
	const names = [
		...[
			'',
			'/',
			'/etc/passwd',
			'file',
			'snapshots/a',
			'Snapshot/a',
			'./snapshot/a',
			'multivol_signature/a/1',
		],
		...['snapshot/..', 'snapshot/../a', 'snapshot/a/..', 'snapshot/a/../b', 'snapshot/a/./b', 'snapshot/./a'],
		...['snapshot//a', 'snapshot/a//b', 'snapshot/a\0b', 'deleted/../a', 'multivol_diff/../1'],
		...['multivol_diff', 'multivol_diff/a', 'multivol_diff/a/0', 'multivol_diff/a/-1', 'multivol_diff/a/01'],
		...['multivol_snapshot/a/1e3', 'multivol_snapshot/a/', `multivol_snapshot/a/${'9'.repeat(16)}`],
	];
	for (const name of names) assert.throws(() => member(name), DamageError, name);
	assert.throws(() => member('snapshot/a', { type: 'link', linkname: Buffer.from('b') }), DamageError);
	assert.throws(() => member('snapshot/a', { type: 'other' }), DamageError);
	assert.throws(() => member('snapshot/a', { type: 'symlink', linkname: Buffer.alloc(0) }), DamageError);
	assert.throws(() => member('snapshot/a', { type: 'symlink', linkname: Buffer.from('a\0b') }), DamageError);
	for (const name of ['diff/a', 'signature/a', 'multivol_snapshot/a/1', 'multivol_diff/a/1']) {
		assert.throws(() => member(name, { type: 'dir' }), DamageError, name);
	}
});
