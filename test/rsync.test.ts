import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import fs from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import test from 'node:test';
import { pathToFileURL } from 'node:url';
import v8 from 'node:v8';
import vm from 'node:vm';
import fc from 'fast-check';
import { DamageError } from '../src/errors.js';
import { DeltaParser } from '../src/rsync/commands.js';
import { DeltaStream, deltaOf } from '../src/rsync/delta.js';
import { blockLength, SignatureStream, signatureOf } from '../src/rsync/signature.js';

const hex = (text: string): Buffer => Buffer.from(text.replaceAll(' ', ''), 'hex');

/** 1200 bytes: with blocks of 512, two whole ones and a short one. */
const sample = Buffer.from(Array.from({ length: 1200 }, (_, i) => (i * 7 + (i >> 3)) & 255));

/** Signatures of `sample` by rdiff 2.3.2, blocks of 512 bytes, sums of 8. */
const signatures = {
	'MD4, rollsum':
		'72730136000002000000000867803a00a40c6da4beca58a215803c004f6f8bd17d30dca4172c6ba04396cda6f124f689',
	'MD4, RabinKarp':
		'72730146000002000000000864a51e01a40c6da4beca58a2f98b30014f6f8bd17d30dca450bbdca14396cda6f124f689',
	'BLAKE2, rollsum':
		'72730137000002000000000867803a00b7cf88d86933c2f715803c000417050ecdca525f172c6ba0fe13e1bcfe01a9df',
	'BLAKE2, RabinKarp':
		'72730147000002000000000864a51e01b7cf88d86933c2f7f98b30010417050ecdca525f50bbdca1fe13e1bcfe01a9df',
};

type Part = ['literal', number, number] | ['copy', number, number];

/** The commands of a delta that is pushed in the pieces given. */
function parse(pieces: Buffer[]): Part[] {
	const parts: Part[] = [];
	const parser = new DeltaParser({
		literal: (length, deltaOffset) => parts.push(['literal', length, deltaOffset]),
		copy: (offset, length) => parts.push(['copy', offset, length]),
	});
	for (const piece of pieces) parser.push(piece);
	parser.end();
	return parts;
}

/** The content that a delta makes of `old`. */
function apply(old: Buffer, pieces: Buffer[]): Buffer {
	const delta = Buffer.concat(pieces);
	return Buffer.concat(
		parse(pieces).map(([kind, a, b]) => {
			if (kind === 'literal') return delta.subarray(b, b + a);
			assert.ok(a + b <= old.length, 'copy within the old content');
			return old.subarray(a, a + b);
		}),
	);
}

/** Cuts at the places given, each a fraction of the whole. */
function cut(whole: Buffer, places: number[]): Buffer[] {
	const at = places.map((p) => Math.floor(p * whole.length)).sort((a, b) => a - b);
	return [0, ...at].map((from, i) => whole.subarray(from, at[i] ?? whole.length));
}

async function streamed(stream: SignatureStream | DeltaStream, pieces: Buffer[]): Promise<Buffer> {
	const out: Buffer[] = [];
	for (const piece of pieces) out.push(await stream.update(piece));
	out.push(await stream.final());
	return Buffer.concat(out);
}

/** Few distinct bytes in long runs, so that blocks recur and rolling sums collide. */
const contents = fc
	.array(fc.tuple(fc.integer({ min: 0, max: 3 }), fc.integer({ min: 1, max: 3000 })), { maxLength: 8 })
	.map((runs) => Buffer.concat(runs.map(([seed, length]) => Buffer.alloc(length, `${seed}abc${seed * 7}`))));
const places = fc.array(fc.double({ min: 0, max: 1, noNaN: true }), { maxLength: 6 });

test('signatures are the ones that librsync and duplicity write', async () => {
	assert.equal(
		(await signatureOf(Buffer.from('ls\n'), 512)).toString('hex'),
		'727301360000020000000008' + '02ee0146487b85b5a90a4dd3',
	);
	assert.equal((await signatureOf(sample, 512)).toString('hex'), signatures['MD4, rollsum']);
	assert.equal((await signatureOf(Buffer.alloc(0), 512)).toString('hex'), '727301360000020000000008');
});

test('block lengths are about a quarter of the square root of the size', () => {
	const known = {
		0: 512,
		1: 512,
		4194304: 512,
		4210704: 1024,
		40000000: 2048,
		1099511627776: 262144,
	};
	for (const [size, length] of Object.entries(known)) assert.equal(blockLength(Number(size)), length, size);
});

test('a file read in pieces has the same signature as in one', async () => {
	await fc.assert(
		fc.asyncProperty(contents, places, fc.constantFrom(1, 512, 700, 4096), async (content, at, length) => {
			const whole = await signatureOf(content, length);
			assert.deepEqual(await streamed(new SignatureStream(length), cut(content, at)), whole);
		}),
		{ numRuns: 60 },
	);
});

test('a delta makes the new content of the old one, however both are cut in pieces', async () => {
	const edits = fc.array(fc.tuple(fc.double({ min: 0, max: 1, noNaN: true }), fc.nat(2000), contents), {
		maxLength: 4,
	});
	await fc.assert(
		fc.asyncProperty(contents, edits, places, places, async (old, changes, at, deltaAt) => {
			let content = old;
			for (const [where, removed, inserted] of changes) {
				const from = Math.floor(where * content.length);
				content = Buffer.concat([content.subarray(0, from), inserted, content.subarray(from + removed)]);
			}
			const signature = await signatureOf(old, 512);
			const whole = await deltaOf(signature, content);
			assert.deepEqual(apply(old, [whole]), content);
			const pieces = await streamed(new DeltaStream(signature), cut(content, at));
			assert.deepEqual(apply(old, cut(pieces, deltaAt)), content);
		}),
		{ numRuns: 100 },
	);
});

test('megabytes that share nothing with the old content come back, and those that share it cost nothing', async () => {
	const old = randomBytes(3_000_000);
	const content = Buffer.concat([
		old.subarray(1_000_000),
		randomBytes(1_500_000),
		old.subarray(0, 1_000_000),
	]);
	const signature = await signatureOf(old, blockLength(old.length));
	const delta = await deltaOf(signature, content);
	assert.ok(delta.length < 1_510_000, `${delta.length}`);
	assert.deepEqual(apply(old, [delta]), content);
	const pieces = [content.subarray(0, 999), content.subarray(999, 2_100_000), content.subarray(2_100_000)];
	assert.deepEqual(apply(old, [await streamed(new DeltaStream(signature), pieces)]), content);
});

for (const [kind, signature] of Object.entries(signatures)) {
	test(`deltas can be made from signatures with ${kind}`, async () => {
		const delta = await deltaOf(hex(signature), Buffer.concat([Buffer.from('new'), sample]));
		assert.deepEqual(parse([delta]), [
			['literal', 3, 5],
			['copy', 0, 1200],
		]);
	});
}

test('a signature that is damaged is refused, not used', async () => {
	const good = hex(signatures['MD4, rollsum']);
	const bad: Record<string, Buffer> = {
		empty: Buffer.alloc(0),
		'cut off in the header': good.subarray(0, 11),
		'cut off in a block': good.subarray(0, -1),
		'a delta': hex('72730236 00000200 00000008'),
		'blocks of no bytes': hex('72730136 00000000 00000008'),
		'blocks of 4 GB': hex('72730136 ffffffff 00000008'),
		'sums of no bytes': hex('72730136 00000200 00000000'),
		'sums longer than MD4': hex('72730136 00000200 00000011'),
		'sums longer than BLAKE2': hex('72730137 00000200 00000021'),
	};
	for (const [what, signature] of Object.entries(bad)) {
		await assert.rejects(deltaOf(signature, sample), DamageError, what);
		assert.throws(() => new DeltaStream(signature), DamageError, what);
	}
});

test('calls that overlap or come after the end are refused, and harm nothing', async () => {
	const big = randomBytes(4_000_000);
	const signature = await signatureOf(big, 2048);
	for (const stream of [new SignatureStream(2048), new DeltaStream(signature)]) {
		const first = stream.update(big);
		await assert.rejects(stream.update(big), /still working/);
		await assert.rejects(stream.final(), /still working/);
		const whole = Buffer.concat([await first, await stream.final()]);
		await assert.rejects(stream.update(big), /is over/);
		await assert.rejects(stream.final(), /is over/);
		if (stream instanceof SignatureStream) assert.deepEqual(whole, signature);
		else assert.deepEqual(apply(big, [whole]), big);
	}
});

test('streams and chunks that nobody holds any more survive until their work is done', async () => {
	v8.setFlagsFromString('--expose-gc');
	const gc = vm.runInNewContext('gc') as () => void;
	const signature = await signatureOf(sample, 512);
	const work = Array.from({ length: 200 }, (_, i) =>
		(i % 2 ? new DeltaStream(Buffer.from(signature)) : new SignatureStream(512)).update(
			Buffer.alloc(100_000, 'x'),
		),
	);
	for (let i = 0; i < 3; i++) {
		gc();
		await new Promise(setImmediate);
	}
	const expected = await new SignatureStream(512).update(Buffer.alloc(100_000, 'x'));
	const done = await Promise.all(work);
	for (let i = 0; i < done.length; i += 2) assert.deepEqual(done[i], expected);
	gc();
});

test('big content does not keep the event loop from its work', async () => {
	const big = Buffer.alloc(50_000_000, 'some text that recurs');
	let turns = 0;
	const timer = setInterval(() => turns++, 1);
	await deltaOf(await signatureOf(big, 7168), big);
	clearInterval(timer);
	assert.ok(turns >= 10, `${turns} turns`);
});

test('an addon that is not built is reported with what to do', async (t) => {
	const copy = await fs.mkdtemp(path.join(os.tmpdir(), 'tsdup-rsync-'));
	t.after(() => fs.rm(copy, { recursive: true }));
	await fs.writeFile(path.join(copy, 'package.json'), '{"type":"module"}');
	await fs.cp(path.join(import.meta.dirname, '../src/rsync'), path.join(copy, 'src/rsync'), {
		recursive: true,
	});
	for (const name of ['addon.js', 'errors.js']) {
		await fs.cp(path.join(import.meta.dirname, '../src', name), path.join(copy, 'src', name));
	}
	const { signatureOf } = await import(pathToFileURL(path.join(copy, 'src/rsync/signature.js')).href);
	await assert.rejects(signatureOf(sample, 512), /not built .*npm run setup/);
});

test('commands with numbers of every width are understood, however the delta is cut', () => {
	const widths = [1, 2, 4, 8];
	const number = (value: number, width: number): Buffer => {
		const bytes = Buffer.alloc(8);
		bytes.writeBigUInt64BE(BigInt(value));
		return bytes.subarray(8 - width);
	};
	const pieces = [hex('72730236')];
	const expected: Part[] = [];
	let at = 4;
	const literal = (head: Buffer, length: number) => {
		pieces.push(head, Buffer.alloc(length, 0x45));
		expected.push(['literal', length, at + head.length]);
		at += head.length + length;
	};
	for (let length = 1; length <= 64; length++) literal(Buffer.of(length), length);
	widths.forEach((width, w) => {
		literal(Buffer.concat([Buffer.of(0x41 + w), number(5 + w, width)]), 5 + w);
	});
	const largest = [0xff, 0xffff, 0xffffffff, 2 ** 50];
	widths.forEach((offsetWidth, o) => {
		widths.forEach((lengthWidth, l) => {
			const [offset, length] = [largest[o] as number, largest[l] as number];
			const command = Buffer.concat([
				Buffer.of(0x45 + 4 * o + l),
				number(offset, offsetWidth),
				number(length, lengthWidth),
			]);
			pieces.push(command);
			at += command.length;
			expected.push(['copy', offset, length]);
		});
	});
	pieces.push(hex('00'));
	const delta = Buffer.concat(pieces);
	assert.deepEqual(parse([delta]), expected);

	const bytewise: Part[] = [];
	for (const part of parse(Array.from(delta, (byte) => Buffer.of(byte)))) {
		const last = bytewise.at(-1);
		// A literal comes once per chunk; neighbours join where no command stands between them in the delta.
		if (part[0] === 'literal' && last?.[0] === 'literal' && last[2] + last[1] === part[2]) last[1] += part[1];
		else bytewise.push(part);
	}
	assert.deepEqual(bytewise, expected);
});

test('a delta cut off at any byte is refused', async () => {
	const content = Buffer.concat([sample.subarray(600), Buffer.from('more'), sample]);
	const delta = await deltaOf(await signatureOf(sample, 512), content);
	assert.deepEqual(apply(sample, [delta]), content);
	for (let length = 0; length < delta.length; length++) {
		assert.throws(
			() => parse([delta.subarray(0, length)]),
			DamageError,
			`${length} of ${delta.length} bytes`,
		);
	}
});

test('a delta that is malformed is refused', () => {
	const bad: Record<string, string> = {
		'a signature': '72730136 00',
		'a reserved command': '72730236 55',
		'the last reserved command': '72730236 ff',
		'bytes after the end': '72730236 00 00',
		'an empty literal': '72730236 41 00 00',
		'an empty copy': '72730236 45 00 00 00',
		'a literal longer than a safe integer': '72730236 44 0020000000000000',
		'a literal of 2^64 - 1 bytes': '72730236 44 ffffffffffffffff',
		'a copy from beyond a safe integer': '72730236 51 0020000000000000 01 00',
		'a copy to beyond a safe integer': '72730236 51 001fffffffffffff 01 00',
		'a file larger than a safe integer': '72730236 48 00 001fffffffffffff 45 00 01 00',
	};
	for (const [what, delta] of Object.entries(bad))
		assert.throws(() => parse([hex(delta)]), DamageError, what);
});

test('a parser that has refused a delta goes on refusing it', () => {
	const parser = new DeltaParser({ literal: assert.fail, copy: assert.fail });
	assert.throws(() => parser.push(hex('72730236 55')), DamageError);
	assert.throws(() => parser.push(hex('01 61 00')), DamageError);
	assert.throws(() => parser.end(), DamageError);
});

test('hostile bytes are refused with a DamageError and nothing worse', () => {
	const bytes = fc.uint8Array({ maxLength: 60 }).map((array) => Buffer.concat([hex('72730236'), array]));
	fc.assert(
		fc.property(bytes, places, (delta, at) => {
			try {
				for (const [, a, b] of parse(cut(delta, at))) assert.ok(Number.isSafeInteger(a + b));
			} catch (error) {
				assert.ok(error instanceof DamageError, String(error));
			}
		}),
		{ numRuns: 2000 },
	);
});

test('signatures and deltas that duplicity stored are the same as ours, or read the same', async (t) => {
	const base = await fs.mkdtemp(path.join(os.tmpdir(), 'tsdup-rsync-'));
	t.after(() => fs.rm(base, { recursive: true }));
	const folder = (name: string) => path.join(base, name);
	const duplicity = () =>
		execFileSync(
			'duplicity',
			['--no-encryption', '--archive-dir', folder('cache'), folder('source'), `file://${folder('target')}`],
			{ stdio: 'pipe', env: { ...process.env, HOME: base } },
		);
	/** Unpacks the tars whose names begin so. */
	const unpack = async (begin: string, into: string) => {
		await fs.mkdir(folder(into));
		for (const name of (await fs.readdir(folder('target'))).filter(
			(n) => n.startsWith(begin) && /tar/.test(n),
		)) {
			execFileSync('tar', ['xzf', path.join(folder('target'), name), '-C', folder(into)]);
		}
	};
	const random = randomBytes(2_500_000);
	const old: Record<string, Buffer> = {
		empty: Buffer.alloc(0),
		small: Buffer.from('ls\n'),
		sample,
		border: random.subarray(0, 65536),
		large: random,
	};
	const changed: Record<string, Buffer> = {
		empty: sample,
		small: Buffer.alloc(0),
		sample: Buffer.concat([sample.subarray(700), sample]),
		border: Buffer.concat([random.subarray(0, 30_000), random.subarray(40_000, 70_000)]),
		large: Buffer.concat([random.subarray(1_000_000), randomBytes(200_000), random.subarray(0, 1_000_000)]),
	};
	const write = async (tree: Record<string, Buffer>, mtime: number) => {
		for (const [name, content] of Object.entries(tree)) {
			await fs.writeFile(path.join(folder('source'), name), content);
			await fs.utimes(path.join(folder('source'), name), mtime, mtime);
		}
	};
	await fs.mkdir(folder('source'));
	await write(old, 1_700_000_000);
	duplicity();
	await write(changed, 1_700_086_400);
	// Two sets of the same second would have the same time, which duplicity refuses.
	await new Promise((resolve) => setTimeout(resolve, 1000));
	duplicity();
	await unpack('duplicity-full-signatures', 'signatures');
	await unpack('duplicity-inc.', 'difftar');

	for (const [name, content] of Object.entries(old)) {
		const stored = await fs.readFile(path.join(folder('signatures'), 'signature', name));
		assert.deepEqual(await signatureOf(content, stored.readUInt32BE(4)), stored, name);
	}
	for (const [name, content] of Object.entries(changed)) {
		const multivol = path.join(folder('difftar'), 'multivol_diff', name);
		const numbers = (await fs.readdir(multivol).catch(() => [])).map(Number).sort((a, b) => a - b);
		const pieces = numbers.length
			? await Promise.all(numbers.map((number) => fs.readFile(path.join(multivol, `${number}`))))
			: [await fs.readFile(path.join(folder('difftar'), 'diff', name))];
		assert.deepEqual(apply(old[name] as Buffer, pieces), content, name);
	}
});
