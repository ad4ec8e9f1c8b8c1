import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { Readable } from 'node:stream';
import test from 'node:test';
import tarStream from 'tar-stream';
import { endOfArchive, padding, type TarEntry, tarHeader } from '../src/volume/tar.js';

const plain: TarEntry = {
	name: Buffer.from('snapshot/file'),
	type: 'file',
	size: 0,
	mode: 0o644,
	uid: 1000,
	gid: 100,
	uname: 'someone',
	gname: 'users',
	mtime: 1700000000,
};

const latin1 = Buffer.from([0xe4, 0xf6, 0xfc]);
const deep = `snapshot/${Array(6).fill('d'.repeat(255)).join('/')}`;

const odd: Record<string, TarEntry> = {
	'plain file': plain,
	directory: { ...plain, name: Buffer.from('snapshot/dir/'), type: 'dir', mode: 0o1777 },
	'root directory': { ...plain, name: Buffer.from('snapshot/./'), type: 'dir', mode: 0o755 },
	symlink: { ...plain, type: 'symlink', mode: 0o777, linkname: Buffer.from('../else where') },
	fifo: { ...plain, type: 'fifo' },
	'character device': { ...plain, type: 'chardev', devMajor: 1, devMinor: 3 },
	'block device': { ...plain, type: 'blockdev', devMajor: 259, devMinor: 65536 },
	setuid: { ...plain, mode: 0o6755 },
	deleted: {
		...plain,
		name: Buffer.from('deleted/x'),
		mode: 0,
		uid: 0,
		gid: 0,
		uname: '',
		gname: '',
		mtime: 0,
	},
	'no owner names': { ...plain, uname: '', gname: '' },
	'32-byte owner name': { ...plain, uname: 'u'.repeat(32) },
	'UTF-8 owner name': { ...plain, uname: 'müller', gname: 'größe' },
	'newline, quote, backslash, blanks': { ...plain, name: Buffer.from('snapshot/ a\nb\t"\'\\ ') },
	'exactly 100 bytes': { ...plain, name: Buffer.from(`snapshot/${'n'.repeat(91)}`) },
	'101 bytes': { ...plain, name: Buffer.from(`snapshot/${'n'.repeat(92)}`) },
	'255-byte component': { ...plain, name: Buffer.from(`snapshot/${'n'.repeat(255)}`) },
	'path of more than 1000 bytes': { ...plain, name: Buffer.from(deep) },
	'UTF-8 name': { ...plain, name: Buffer.from('snapshot/äöü € 🎉') },
	'combining characters': { ...plain, name: Buffer.from('snapshot/a\u0308') },
	'UTF-8 name cut inside the field': { ...plain, name: Buffer.from(`snapshot/${'ü'.repeat(120)}`) },
	'Latin-1 name': { ...plain, name: Buffer.concat([Buffer.from('snapshot/'), latin1]) },
	'Latin-1 directory': {
		...plain,
		type: 'dir',
		name: Buffer.concat([Buffer.from('snapshot/'), latin1, Buffer.from('/')]),
	},
	'UTF-8 link target': { ...plain, type: 'symlink', linkname: Buffer.from('zü') },
	'long link target': { ...plain, type: 'symlink', linkname: Buffer.from('t'.repeat(4095)) },
	'Latin-1 link target': { ...plain, type: 'symlink', linkname: latin1 },
	'UTF-8 name, Latin-1 link target': {
		...plain,
		name: Buffer.from('snapshot/ü'),
		type: 'symlink',
		linkname: latin1,
	},
	'largest small uid': { ...plain, uid: 2097151, gid: 2097151 },
	'uid 3000000000': { ...plain, uid: 3000000000, gid: 2097152 },
	'nobody of 32 bits': { ...plain, uid: 4294967294, gid: 4294967294 },
	'time after 2242': { ...plain, mtime: 8 ** 11 },
	'record length that grows a digit': { ...plain, name: Buffer.from(`snapshot/${'n'.repeat(9999 - 21)}`) },
};

/** Runs Debian's Python, which is duplicity's own tar reader and writer. */
function python(script: string, input: Buffer): Buffer {
	const run = spawnSync('/usr/bin/python3', ['-c', script], { input, maxBuffer: 2 ** 28 });
	assert.equal(run.status, 0, run.stderr.toString());
	return run.stdout;
}

function toJson(entry: TarEntry): object {
	const base64 = (bytes: string | Buffer | undefined) => Buffer.from(bytes ?? '').toString('base64');
	const { name, linkname, uname, gname } = entry;
	return {
		...entry,
		name: base64(name),
		linkname: base64(linkname),
		uname: base64(uname),
		gname: base64(gname),
		devMajor: entry.devMajor ?? 0,
		devMinor: entry.devMinor ?? 0,
	};
}

const WRITE = `
import base64, json, sys, tarfile
types = dict(file=b'0', symlink=b'2', chardev=b'3', blockdev=b'4', dir=b'5', fifo=b'6')
text = lambda s: base64.b64decode(s).decode('utf-8', 'surrogateescape')
for e in json.load(sys.stdin):
    t = tarfile.TarInfo(text(e['name']).rstrip('/') if e['type'] == 'dir' else text(e['name']))
    t.type, t.size, t.mode, t.uid, t.gid, t.mtime = types[e['type']], e['size'], e['mode'], e['uid'], e['gid'], e['mtime']
    t.linkname, t.uname, t.gname = text(e['linkname']), text(e['uname']), text(e['gname'])
    t.devmajor, t.devminor = e['devMajor'], e['devMinor']
    print(t.tobuf(tarfile.PAX_FORMAT, 'utf-8', 'surrogateescape').hex())
`;

test('every header is byte for byte the one that duplicity writes with Python', () => {
	const entries = { ...odd, '9 GiB': { ...plain, size: 9 * 2 ** 30 } };
	const input = Buffer.from(JSON.stringify(Object.values(entries).map(toJson)));
	const expected = python(WRITE, input).toString().trim().split('\n');
	Object.entries(entries).forEach(([label, entry], i) => {
		const header = tarHeader(entry);
		assert.equal(header.length % 512, 0, label);
		assert.equal(header.toString('hex'), expected[i], label);
	});
});

/** An archive with the odd entries; each file has content of another length. */
function archive(): { tar: Buffer; entries: TarEntry[] } {
	const entries = Object.values(odd).map((entry, i) =>
		entry.type === 'file' ? { ...entry, size: i * 100 } : entry,
	);
	const parts = entries.flatMap((entry) => [
		tarHeader(entry),
		Buffer.alloc(entry.size, 'x'),
		padding(entry.size),
	]);
	const body = Buffer.concat(parts);
	return { tar: Buffer.concat([body, endOfArchive(body.length)]), entries };
}

const READ = `
import base64, io, json, os, sys, tarfile
out = []
types = {b'0': 'file', b'2': 'symlink', b'3': 'chardev', b'4': 'blockdev', b'5': 'dir', b'6': 'fifo'}
b = lambda s: base64.b64encode(s.encode('utf-8', 'surrogateescape')).decode()
with tarfile.open(fileobj=io.BytesIO(sys.stdin.buffer.read()), encoding='utf-8') as t:
    for m in t:
        if m.isreg(): assert t.extractfile(m).read() == b'x' * m.size
        out.append(dict(name=b(m.name), type=types[m.type], size=m.size, mode=m.mode, uid=m.uid, gid=m.gid, uname=b(m.uname),
            gname=b(m.gname), mtime=m.mtime, linkname=b(m.linkname), devMajor=m.devmajor, devMinor=m.devminor))
print(json.dumps(out))
`;

test('Python reads every odd entry back unchanged', () => {
	const { tar, entries } = archive();
	const withoutSlash = (name: Buffer) => (name.at(-1) === 0x2f ? name.subarray(0, -1) : name);
	const expected = entries.map((entry) => toJson({ ...entry, name: withoutSlash(entry.name) }));
	assert.deepEqual(JSON.parse(python(READ, tar).toString()), expected);
});

test('GNU tar and tar-stream read the archive too', async () => {
	const { tar, entries } = archive();
	const list = spawnSync('tar', ['--list', '--quoting-style=literal', '--null', '--file=-'], {
		input: tar,
		encoding: 'latin1',
	});
	assert.equal(list.status, 0, list.stderr);
	// Names with a newline cannot be told apart in the listing; as one text they can.
	const names = entries.map((entry) => `${entry.name.toString('latin1')}\n`).join('');
	assert.equal(list.stdout, names);

	const seen: string[] = [];
	for await (const entry of Readable.from([tar]).pipe(tarStream.extract())) {
		seen.push(entry.header.name);
		entry.resume();
	}
	assert.equal(seen.length, entries.length);
	const text = (name: Buffer) => name.toString().replace(/\/$/, '');
	assert.deepEqual(
		seen.map((name) => name.replace(/\/$/, '')),
		entries.map((entry) => text(entry.name)),
	);
});

test('what duplicity does not record is not recorded', () => {
	const header = (change: Partial<TarEntry>) => tarHeader({ ...plain, ...change });
	assert.deepEqual(header({ mtime: -86400 }), header({ mtime: 0 }));
	assert.deepEqual(header({ mode: 0o100644 }), header({ mode: 0o644 }));
	assert.deepEqual(header({ uname: 'u'.repeat(33) }), header({ uname: '' }));
});

test('an archive ends on a multiple of 10240 with at least two zero blocks', () => {
	assert.equal(padding(0).length, 0);
	assert.equal(padding(1).length, 511);
	assert.equal(padding(512).length, 0);
	assert.equal(endOfArchive(0).length, 10240);
	assert.equal(endOfArchive(9216).length, 1024);
	assert.equal(endOfArchive(9728).length, 10752);
	assert.equal(endOfArchive(10240).length, 10240);
});
