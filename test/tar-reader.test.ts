import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import {
	linkSync,
	mkdirSync,
	mkdtempSync,
	readdirSync,
	readFileSync,
	rmSync,
	symlinkSync,
	utimesSync,
	writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test, { after } from 'node:test';
import { gunzipSync } from 'node:zlib';
import fc from 'fast-check';
import { DamageError } from '../src/errors.js';
import { extraRecords, NO_EXTRAS } from '../src/volume/extras.js';
import { endOfArchive, padding, type TarEntry, tarHeader } from '../src/volume/tar.js';
import type { TarHeader } from '../src/volume/tar-header.js';
import { readTar } from '../src/volume/tar-reader.js';
import { encodeXattrs } from '../src/volume/xattrs.js';

const fixtures = join(import.meta.dirname, '../../test/fixtures');
const temporary = mkdtempSync(join(tmpdir(), 'tsdup-tar-'));
after(() => rmSync(temporary, { recursive: true, force: true }));

async function* inChunks(bytes: Buffer, length = 1000): AsyncGenerator<Buffer, void> {
	for (let at = 0; at < bytes.length; at += length) yield bytes.subarray(at, at + length);
}

interface Read {
	readonly header: TarHeader;
	readonly offset: number;
	readonly body: Buffer;
}

async function readAll(chunks: AsyncIterable<Buffer>): Promise<Read[]> {
	const members: Read[] = [];
	for await (const { header, offset, body } of readTar(chunks, 'test.tar')) {
		const pieces: Buffer[] = [];
		for await (const piece of body) pieces.push(Buffer.from(piece));
		members.push({ header, offset, body: Buffer.concat(pieces) });
	}
	return members;
}

function withoutSlashes(name: Buffer): Buffer {
	return Buffer.from(name.toString('latin1').replace(/\/+$/, ''), 'latin1');
}

/** The members as Python's tarfile lists them, too; without what tsdup alone keeps. */
function listing(members: Read[]): object[] {
	return members.map(({ header: { mtimeNs, xattrs, hardLink, allocated, ...header }, offset, body }) => ({
		...header,
		name: (header.type === 'dir' ? withoutSlashes(header.name) : header.name).toString('hex'),
		uname: header.uname.toString('hex'),
		gname: header.gname.toString('hex'),
		linkname: header.linkname?.toString('hex') ?? null,
		offset,
		body: body.toString('hex', 0, 32),
	}));
}

const LIST = `
import json, os, sys, tarfile
types = {b'0': 'file', b'\\0': 'file', b'7': 'file', b'1': 'link', b'2': 'symlink', b'3': 'chardev', b'4': 'blockdev', b'5': 'dir', b'6': 'fifo'}
out = []
for path in json.load(sys.stdin):
    members = []
    if os.path.getsize(path):
        tar = tarfile.open(path, 'r:', encoding='utf-8', errors='surrogateescape')
        for t in tar:
            h = lambda s: s.encode('utf-8', 'surrogateescape').hex()
            device = t.type in (b'3', b'4')
            members.append(dict(name=h(t.name), type=types[t.type], mode=t.mode & 0o7777, uid=t.uid, gid=t.gid,
                uname=h(t.uname), gname=h(t.gname), mtime=int(t.mtime), size=t.size, offset=t.offset_data,
                linkname=h(t.linkname) if t.type in (b'1', b'2') else None,
                devMajor=t.devmajor if device else 0, devMinor=t.devminor if device else 0,
                body=tar.extractfile(t).read(32).hex() if t.isreg() else ''))
    out.append(members)
json.dump(out, sys.stdout)
`;

/** Debian's Python is duplicity's own reader. @param paths of tars that are not compressed */
function pythonListings(paths: string[]): object[][] {
	return JSON.parse(python(LIST, JSON.stringify(paths)).toString());
}

function python(script: string, input: string): Buffer {
	const run = spawnSync('/usr/bin/python3', ['-c', script], { input, maxBuffer: 2 ** 28 });
	assert.equal(run.status, 0, run.stderr.toString());
	return run.stdout;
}

const entry: TarEntry = {
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

function archived(name: string | Buffer, content: Buffer): Buffer {
	const header = tarHeader({ ...entry, name: Buffer.from(name), size: content.length });
	return Buffer.concat([header, content, padding(content.length)]);
}

/** A header block with some bytes changed, and its checksum made good again. */
function changed(block: Buffer, changes: [offset: number, bytes: string][]): Buffer {
	const copy = Buffer.from(block);
	for (const [offset, bytes] of [...changes, [148, '        '] as const]) copy.write(bytes, offset, 'latin1');
	const sum = copy.reduce((total, byte) => total + byte, 0);
	copy.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148, 'latin1');
	return copy;
}

/** An extended header of a type, as its body is. */
function extended(flag: string, body: Buffer): Buffer {
	const block = changed(tarHeader({ ...entry, size: body.length }), [[156, flag]]);
	return Buffer.concat([block, body, padding(body.length)]);
}

function record(keyword: string, value: string): string {
	const rest = ` ${keyword}=${value}\n`;
	let length = rest.length;
	while (length !== rest.length + String(length).length) length = rest.length + String(length).length;
	return `${length}${rest}`;
}

function pax(flag: string, ...records: [string, string][]): Buffer {
	const body = records.map(([keyword, value]) => record(keyword, value)).join('');
	return extended(flag, Buffer.from(body, 'latin1'));
}

async function onlyHeader(tar: Buffer): Promise<TarHeader> {
	const [member, ...more] = await readAll(inChunks(tar));
	assert.ok(member && more.length === 0);
	return member.header;
}

test('every volume and sigtar that duplicity wrote reads as Python reads it', async () => {
	const names = [
		'plain-08',
		'plain-30',
		'plain-31',
		'multivol-08',
		'uncompressed-08',
		'single-08',
		'chains-08',
	];
	const paths: string[] = [];
	for (const name of [...names, 'resumed-08']) {
		execFileSync('tar', ['-C', temporary, '-xzf', join(fixtures, `${name}.tar.gz`)]);
		for (const object of readdirSync(join(temporary, name))) {
			const path = join(temporary, name, object);
			if (object.endsWith('.gz')) writeFileSync(path, gunzipSync(readFileSync(path)));
			if (/\.(difftar|sigtar)(\.gz)?$/.test(object)) paths.push(path);
		}
	}
	assert.ok(paths.length > 50);
	const expected = pythonListings(paths);
	let members = 0;
	for (const [i, path] of paths.entries()) {
		const read = await readAll(inChunks(readFileSync(path), 65536));
		assert.deepEqual(listing(read), expected[i], path);
		members += read.length;
	}
	assert.ok(members > 500, `${members}`);
});

const WRITE = `
import io, json, sys, tarfile
formats = dict(ustar=tarfile.USTAR_FORMAT, gnu=tarfile.GNU_FORMAT, pax=tarfile.PAX_FORMAT)
latin = lambda n: 'snapshot/latin1-' + bytes([0xe4, 0xf6]).decode('utf-8', 'surrogateescape') * n
for kind, path in json.load(sys.stdin):
    tar = tarfile.open(path, 'w', format=formats[kind], encoding='utf-8', errors='surrogateescape',
        pax_headers={'comment': 'for all', 'TSDUP.all': 'x'} if kind == 'pax' else None)
    def add(name, content=b'', **fields):
        t = tarfile.TarInfo(name)
        t.mtime, t.uname, t.gname, t.uid, t.gid = 1700000000, 'root', 'root', 1, 2
        for key, value in fields.items(): setattr(t, key, value)
        t.size = len(content)
        tar.addfile(t, io.BytesIO(content))
    add('snapshot/.', type=tarfile.DIRTYPE, mode=0o755)
    add('snapshot/file', b'content', mode=0o6755)
    add(latin(1), b'x' * 512)
    add('snapshot/' + 'd' * 60 + '/' + 'n' * 80, b'y' * 513)
    add('snapshot/dev', type=tarfile.CHRTYPE, devmajor=1, devminor=3)
    add('snapshot/disk', type=tarfile.BLKTYPE, devmajor=259, devminor=65536)
    add('snapshot/fifo', type=tarfile.FIFOTYPE)
    add('snapshot/link', type=tarfile.SYMTYPE, linkname='../else where', mode=0o777)
    add('snapshot/hard', type=tarfile.LNKTYPE, linkname='snapshot/file')
    add('snapshot/contiguous', b'seven', type=tarfile.CONTTYPE)
    if kind != 'ustar':
        add('snapshot/' + '/'.join(['e' * 255] * 20) + '/', type=tarfile.DIRTYPE)
        add(latin(200), b'long and odd')
        add('snapshot/\\u00fc\\u20ac', b'u', uid=3000000000, gid=2097152)
        add('snapshot/longlink', type=tarfile.SYMTYPE, linkname='t' * 4095)
        add('snapshot/' + 'b' * 200, type=tarfile.SYMTYPE, linkname=latin(90))
        add('snapshot/before 1970', mtime=-86400)
        add('snapshot/after 2242', mtime=8 ** 11)
    if kind == 'pax':
        add('snapshot/fraction', b'f', mtime=1600000000.75)
        add('snapshot/own', b'f', uname='\\u00fc' * 20, gname='g' * 40)
        add('snapshot/vendor', b'f', pax_headers={'TSDUP.ns': '123', 'SCHILY.xattr.user.a': 'b=c'})
        add('snapshot/newline', b'f', pax_headers={'path': 'snapshot/new\\nline=1 12 path=x'})
    tar.close()
`;

test('every dialect that Python writes reads as Python reads it', async () => {
	const written = ['ustar', 'gnu', 'pax'].map((kind) => [kind, join(temporary, `${kind}.tar`)] as const);
	python(WRITE, JSON.stringify(written));
	const expected = pythonListings(written.map(([, path]) => path));
	for (const [i, [kind, path]] of written.entries()) {
		assert.deepEqual(listing(await readAll(inChunks(readFileSync(path)))), expected[i], kind);
	}
});

test('every dialect that GNU tar writes reads as Python reads it', async () => {
	const tree = join(temporary, 'tree');
	const plain = join(tree, 'plain');
	const odd = join(tree, 'odd');
	const deep = join(odd, 'd'.repeat(90), 'e'.repeat(60));
	mkdirSync(plain, { recursive: true });
	mkdirSync(deep, { recursive: true });
	writeFileSync(join(plain, 'file'), 'content', { mode: 0o640 });
	writeFileSync(Buffer.concat([Buffer.from(`${plain}/`), Buffer.from([0xe4, 0xff])]), 'x'.repeat(1024));
	symlinkSync('target', join(plain, 'link'));
	linkSync(join(plain, 'file'), join(plain, 'hard'));
	writeFileSync(join(deep, 'f'.repeat(40)), 'deep');
	execFileSync('mkfifo', [join(odd, 'fifo')]);
	const pack = (format: string, ...what: string[]) => {
		const path = join(temporary, `gnutar-${format}.tar`);
		execFileSync('tar', ['-C', tree, `--format=${format}`, '-cf', path, ...what]);
		return path;
	};
	const paths = [pack('v7', 'plain'), pack('ustar', 'plain', 'odd')];
	// The other dialects have room for these, too.
	symlinkSync('t'.repeat(300), join(odd, 'long link'));
	writeFileSync(join(deep, 'n'.repeat(200)), 'long');
	utimesSync(join(plain, 'file'), 1600000000.75, 1600000000.75);
	utimesSync(join(odd, 'fifo'), -86400, -86400);
	const big = ['--owner=big:3000000000', '--group=big:3000000000', 'plain', 'odd'];
	paths.push(...['oldgnu', 'gnu', 'pax'].map((format) => pack(format, ...big)));
	const expected = pythonListings(paths);
	for (const [i, path] of paths.entries()) {
		assert.deepEqual(listing(await readAll(inChunks(readFileSync(path)))), expected[i], path);
	}
});

test('old forms: both checksums, no magic, a slash for a directory', async () => {
	const block = tarHeader({ ...entry, name: Buffer.from('snapshot/\xe4\xf6', 'latin1') }).subarray(-512);
	const latin1 = changed(block, [[0, 'snapshot/\xe4\xf6']]);
	const unsigned = Number.parseInt(latin1.toString('latin1', 148, 154), 8);
	latin1.write(`${(unsigned - 2 * 256).toString(8).padStart(6, '0')}\0 `, 148, 'latin1');
	assert.equal((await onlyHeader(latin1)).name.toString('latin1'), 'snapshot/\xe4\xf6');

	const v7 = await onlyHeader(
		changed(tarHeader(entry), [
			[156, '\0'],
			[257, '\0'.repeat(8)],
			[345, 'no prefix'],
		]),
	);
	assert.deepEqual([v7.name.toString(), v7.type, v7.uname.length], ['snapshot/file', 'file', 0]);

	const name = Buffer.from('snapshot/dir/');
	const dir = changed(tarHeader({ ...entry, name, size: 5 }), [[156, '\0']]);
	assert.deepEqual([(await onlyHeader(dir)).type, (await onlyHeader(dir)).size], ['dir', 0]);

	const blanks = changed(tarHeader(entry), [
		[100, '   644 \0'],
		[329, '        '],
	]);
	assert.equal((await onlyHeader(blanks)).mode, 0o644);

	const prefixed = await onlyHeader(changed(tarHeader(entry), [[345, 'multivol/a']]));
	assert.equal(prefixed.name.toString(), 'multivol/a/snapshot/file');
	const gnu = await onlyHeader(
		changed(tarHeader(entry), [
			[257, 'ustar  \0'],
			[345, '14524770002'],
		]),
	);
	assert.equal(gnu.name.toString(), 'snapshot/file');
});

test('a global header speaks for all that follow, an entry’s own for itself; empty takes back', async () => {
	const file = archived('snapshot/a', Buffer.alloc(0));
	const tar = Buffer.concat([
		pax('g', ['uname', 'all'], ['uid', '7'], ['mtime', '12.9']),
		file,
		pax('x', ['uname', 'one'], ['gname', 'first'], ['gname', 'last']),
		file,
		pax('x', ['uname', ''], ['vendor.key', 'value']),
		file,
	]);
	const members = await readAll(inChunks(tar));
	const shown = members.map(({ header: { uname, gname, uid, mtime } }) => [
		`${uname}`,
		`${gname}`,
		uid,
		mtime,
	]);
	assert.deepEqual(shown, [
		['all', 'users', 7, 12],
		['one', 'last', 7, 12],
		['someone', 'users', 7, 12],
	]);
});

test('a PAX size counts, not the one in the header', async () => {
	const tar = Buffer.concat([
		pax('x', ['size', '600']),
		tarHeader({ ...entry, size: 0 }),
		Buffer.alloc(1024, 1),
		archived('snapshot/next', Buffer.from('n')),
	]);
	const members = await readAll(inChunks(tar));
	assert.deepEqual(
		members.map(({ body }) => body.length),
		[600, 1],
	);
});

test('the archive ends at a zero block or at the end of the source; garbage after it is not looked at', async () => {
	const file = archived('snapshot/a', Buffer.from('a'));
	const garbage = Buffer.alloc(5000, 0x41);
	for (const end of ['', '\0'.repeat(512), '\0'.repeat(10240)]) {
		assert.equal((await readAll(inChunks(Buffer.concat([file, Buffer.from(end)])))).length, 1);
	}
	const ended = Buffer.concat([file, Buffer.alloc(512), garbage, file]);
	assert.equal((await readAll(inChunks(ended))).length, 1);
	assert.deepEqual(await readAll(inChunks(Buffer.alloc(0))), []);
	await assert.rejects(readAll(inChunks(Buffer.concat([file, garbage]))), DamageError);
});

test('a tar cut off anywhere gives an error, or whole members when it is cut between two', async () => {
	const long = `snapshot/${'n'.repeat(150)}`;
	const parts = [
		archived('snapshot/a', Buffer.from('content of a')),
		archived(long, Buffer.alloc(600, 1)),
		extended('L', Buffer.from(`${long}2\0`)),
		archived('snapshot/b', Buffer.alloc(0)),
		endOfArchive(0).subarray(0, 1024),
	];
	const tar = Buffer.concat(parts);
	const [a, b, name, c] = parts as [Buffer, Buffer, Buffer, Buffer];
	const firstEnd = a.length + b.length;
	const lastEnd = firstEnd + name.length + c.length;
	const borders = new Map([
		[0, 0],
		[a.length, 1],
		[firstEnd, 2],
		[lastEnd, 3],
		[lastEnd + 512, 3],
		[tar.length, 3],
	]);
	for (let length = 0; length <= tar.length; length++) {
		const reading = readAll(inChunks(tar.subarray(0, length), 700));
		const count = borders.get(length) ?? (length > lastEnd + 512 ? 3 : null);
		if (count === null)
			await assert.rejects(reading, /is damaged .*: it (is cut off|ends after)/, `cut at ${length}`);
		else assert.equal((await reading).length, count, `cut at ${length}`);
	}
});

test('what no tar has is refused, with the object’s name, and without much memory', async () => {
	const block = tarHeader(entry);
	const flipped = Buffer.from(block);
	flipped[20] = 1;
	const file = archived('snapshot/a', Buffer.from('a'));
	const cases: Record<string, Buffer> = {
		'wrong checksum': flipped,
		'no tar': Buffer.alloc(512, 'text'),
		'negative size': changed(block, [[124, '\xff'.repeat(12)]]),
		'size beyond reason': changed(block, [[124, `\x80${'\x7f'.repeat(11)}`]]),
		'size up to the last safe integer': changed(block, [[124, '\x80\0\0\0\0\x1f\xff\xff\xff\xff\xff\xff']]),
		'a mode that is none': changed(block, [[100, '00x0644\0']]),
		'negative owner': changed(block, [[108, '\xff'.repeat(8)]]),
		'PAX header of more than 1 MiB': changed(block, [
			[156, 'x'],
			[124, '00004000001\0'],
		]),
		'long name of a gigabyte': changed(block, [
			[156, 'L'],
			[124, '10000000000\0'],
		]),
		'path of more than 64 KiB': Buffer.concat([pax('x', ['path', 'p'.repeat(65537)]), file]),
		'record with length 0': Buffer.concat([extended('x', Buffer.from('0 path=a\n')), file]),
		'record without length': Buffer.concat([extended('x', Buffer.from('path=a\n')), file]),
		'record too long': Buffer.concat([extended('x', Buffer.from('99 path=a\n')), file]),
		'record too short': Buffer.concat([extended('x', Buffer.from('8 path=a\n')), file]),
		'record without =': Buffer.concat([extended('x', Buffer.from('9 path a\n')), file]),
		'size that is no number': Buffer.concat([pax('x', ['size', '0x10']), file]),
		'size beyond 2^53': Buffer.concat([pax('x', ['size', '9007199254740993']), file]),
		'mtime that is no number': Buffer.concat([pax('x', ['mtime', 'inf']), file]),
		'end after an extended header': pax('x', ['path', 'a']),
		'zeros after an extended header': Buffer.concat([pax('x', ['path', 'a']), Buffer.alloc(1024)]),
	};
	for (const [label, tar] of Object.entries(cases)) {
		await assert.rejects(
			readAll(inChunks(tar)),
			(error) => error instanceof DamageError && /^test\.tar is damaged (?!.* cut off)/.test(error.message),
			label,
		);
	}
});

test('a body can be read, read in part, or left alone; but not too late', async () => {
	const contents = [3000, 0, 512, 1, 5000, 600].map((length, i) => Buffer.alloc(length, i + 1));
	const tar = Buffer.concat(contents.map((content, i) => archived(`snapshot/${i}`, content)));
	let i = 0;
	let late: AsyncIterable<Buffer> | undefined;
	for await (const { header, body, offset } of readTar(inChunks(tar, 100), 'test.tar')) {
		const content = contents[i] as Buffer;
		assert.equal(header.name.toString(), `snapshot/${i}`);
		assert.ok(tar.subarray(offset, offset + header.size).equals(content));
		if (i % 2 === 0) {
			for await (const piece of body) {
				assert.ok(content.indexOf(piece) >= 0);
				break;
			}
		}
		if (i === 3) late = body;
		i += 1;
	}
	assert.equal(i, contents.length);
	await assert.rejects(async () => {
		for await (const _ of late ?? []);
	}, /too late/);
});

test('the source is read to its end, so that its own checks count, and let go of when nobody reads on', async () => {
	const tar = Buffer.concat([archived('snapshot/a', Buffer.from('a')), Buffer.alloc(2048)]);
	async function* failing(): AsyncGenerator<Buffer, void> {
		yield* inChunks(tar);
		throw new DamageError('the digest is wrong');
	}
	await assert.rejects(readAll(failing()), /the digest is wrong/);

	let closed = false;
	async function* endless(): AsyncGenerator<Buffer, void> {
		try {
			for (;;) yield tar.subarray(0, 1024);
		} finally {
			closed = true;
		}
	}
	for await (const _ of readTar(endless(), 'test.tar')) break;
	assert.ok(closed);
});

test('however the bytes arrive, the members are the same', async () => {
	const tar = readFileSync(join(temporary, 'pax.tar'));
	const expected = listing(await readAll(inChunks(tar, tar.length)));
	const cuts = fc.array(fc.integer({ min: 1, max: 3000 }), { minLength: 1, maxLength: 20 });
	await fc.assert(
		fc.asyncProperty(cuts, async (lengths) => {
			async function* chunks(): AsyncGenerator<Buffer, void> {
				for (let at = 0, i = 0; at < tar.length; i++) {
					const length = lengths[i % lengths.length] as number;
					yield tar.subarray(at, at + length);
					at += length;
				}
			}
			assert.deepEqual(listing(await readAll(chunks())), expected);
		}),
		{ numRuns: 30 },
	);
});

test('no bytes make it hang, crash, or give more than there is', async () => {
	const good = ['gnu', 'pax'].map((kind) => readFileSync(join(temporary, `${kind}.tar`)));
	const mutation = fc.record({ at: fc.nat(25000), byte: fc.nat(255), mend: fc.boolean() });
	await fc.assert(
		fc.asyncProperty(
			fc.constantFrom(...good),
			fc.array(mutation, { maxLength: 8 }),
			async (archive, mutations) => {
				const tar = Buffer.from(archive);
				for (const { at, byte, mend } of mutations) {
					const position = at % tar.length;
					tar[position] = byte;
					const start = position - (position % 512);
					// Without a good checksum nothing behind it is ever reached.
					if (mend) changed(tar.subarray(start, start + 512), []).copy(tar, start);
				}
				try {
					const members = await readAll(inChunks(tar));
					for (const { header, offset, body } of members) {
						assert.equal(body.length, header.size);
						assert.ok(offset + header.size <= tar.length);
					}
				} catch (error) {
					if (!(error instanceof DamageError)) throw error;
				}
			},
		),
		{ numRuns: 300 },
	);
	await fc.assert(
		fc.asyncProperty(fc.uint8Array({ minLength: 1, maxLength: 3000 }), async (bytes) => {
			const reading = readAll(inChunks(Buffer.from(bytes)));
			if (bytes.length < 512 || bytes.subarray(0, 512).some((byte) => byte !== 0)) {
				await assert.rejects(reading, DamageError);
			}
			await reading.catch(() => {});
		}),
		{ numRuns: 200 },
	);
});

test('extras come back as they were written, byte for byte', async () => {
	const xattrs = encodeXattrs([
		{ name: Buffer.from('user.100%=sure'), value: Buffer.from('a=b\n') },
		{ name: Buffer.from([...Buffer.from('user.'), 0xe4, 0x0a, 0xff]), value: Buffer.from([0, 255, 10, 0]) },
		{ name: Buffer.from('user.empty'), value: Buffer.alloc(0) },
		{ name: Buffer.from('user.long'), value: Buffer.alloc(65536, '9 path=x\n') },
		{ name: Buffer.from('user.charset'), value: Buffer.from('21 hdrcharset=BINARY\n') },
	]);
	const extras = { xattrs, hardLink: 2 ** 52 - 1, allocated: 4096 };
	const name = Buffer.from('snapshot/ü');
	const tar = tarHeader({ ...entry, name, mtimeNs: 1_000, extras: extraRecords(extras) });
	const header = await onlyHeader(tar);
	assert.deepEqual({ ...header, ...extras, mtimeNs: 1_000, name }, header);
	const script = `
import io, sys, tarfile
for t in tarfile.open(fileobj=io.BytesIO(sys.stdin.buffer.read()), encoding='utf-8', errors='surrogateescape'):
    print(t.name, t.mtime, len(t.pax_headers), len(t.pax_headers['SCHILY.xattr.user.long']))`;
	const run = spawnSync('/usr/bin/python3', ['-c', script], { input: tar, env: { PYTHONUTF8: '1' } });
	assert.equal(run.stdout.toString(), 'snapshot/ü 1700000000.000001 9 65536\n', run.stderr.toString());
});

test('extras that no file can have are left out, and the entry is good without them', async () => {
	const header = async (...records: [string, string][]) => {
		const { name, mtimeNs, xattrs, hardLink, allocated } = await onlyHeader(
			Buffer.concat([pax('x', ...records), archived('snapshot/x', Buffer.alloc(0))]),
		);
		assert.equal(name.toString(), 'snapshot/x');
		return { mtimeNs, xattrs, hardLink, allocated };
	};
	assert.deepEqual(await header(['TSDUP.link', '-1'], ['TSDUP.allocated', '1e3']), NO_EXTRAS);
	assert.deepEqual(
		await header(['TSDUP.link', '99999999999999999'], ['mtime', '1.x'.slice(0, 2)]),
		NO_EXTRAS,
	);
	for (const name of ['security.selinux', 'user.', 'system.nfs4_acl', `user.${'x'.repeat(251)}`, 'user.\0']) {
		assert.deepEqual(await header([`SCHILY.xattr.${name}`, 'value']), NO_EXTRAS, name);
	}
	const many = Array.from({ length: 15 }, (_, i): [string, string] => {
		return [`SCHILY.xattr.user.${i}`, 'x'.repeat(60_000)];
	});
	assert.deepEqual(await header(...many), NO_EXTRAS);
});
