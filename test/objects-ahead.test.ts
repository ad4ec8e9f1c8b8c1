/** The sets that come next are asked for while one is taken in, each object once; what is wrong with one is said when its turn comes. */
import assert from 'node:assert/strict';
import { mkdirSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, test } from 'node:test';
import type { BackupSet } from '../src/collection/backup-set.js';
import { collect } from '../src/collection/sets.js';
import { MissingObjectError } from '../src/errors.js';
import { ObjectsAhead } from '../src/index/objects-ahead.js';
import { Opener } from '../src/openpgp/opener.js';
import { FolderTarget } from '../src/target/file.js';
import { RecordingTarget } from '../src/target/recording.js';
import { profile, type Sandbox, sandbox, tsdup } from './cli.js';
import { until } from './until.js';

const GPG_PW = 'of the test of objects ahead';
let box: Sandbox;
let folder: string;
let asked: string[];
let target: RecordingTarget;
let derived: number;
let ahead: ObjectsAhead;

/** A full set of tsdup's; without its segment it is as duplicity makes them. */
beforeEach(async () => {
	box = sandbox();
	folder = join(box.dir, 'target');
	const source = join(box.dir, 'source');
	mkdirSync(source);
	writeFileSync(join(source, 'file'), 'a file');
	profile(box, 'p', `SOURCE='${source}'\nTARGET='file://${folder}'\nGPG_PW='${GPG_PW}'`);
	assert.equal((await tsdup(['backup', 'p'], box)).code, 0);
	asked = [];
	derived = 0;
	target = new RecordingTarget(new FolderTarget(folder), ({ name = '' }) => asked.push(name));
	const opener = new Opener({ passphrase: GPG_PW });
	ahead = new ObjectsAhead(target, {
		sessionKey: async (header) => {
			const key = await opener.sessionKey(header);
			derived++;
			return key;
		},
	});
});

afterEach(() => box.remove());

async function theSet(): Promise<BackupSet> {
	const [chain] = collect(await new FolderTarget(folder).list()).chains;
	return chain?.sets[0] as BackupSet;
}

async function bytes(name: string): Promise<Buffer> {
	const pieces: Buffer[] = [];
	for await (const piece of ahead.stream(name)) pieces.push(piece);
	return Buffer.concat(pieces);
}

const nameOf = (object: { name: string } | null) => object?.name ?? '';

test('a segment is asked for once, and its key derived, before anybody wants it', async () => {
	const { segment } = await theSet();
	ahead.begin(await theSet());
	ahead.begin(await theSet());
	await until(() => derived === 1, 10);
	assert.deepEqual(await bytes(nameOf(segment)), readFileSync(join(folder, nameOf(segment))));
	assert.deepEqual(asked, [nameOf(segment)]);
	await bytes(nameOf(segment));
	assert.equal(asked.length, 2, 'whoever wants it again asks the target');
});

test('of a set without one, the manifest and the signatures', async () => {
	rmSync(join(folder, nameOf((await theSet()).segment)));
	const { manifest, sigtar } = await theSet();
	ahead.begin(await theSet());
	await until(() => derived === 2, 10);
	for (const object of [sigtar, manifest]) {
		assert.deepEqual(await bytes(nameOf(object)), readFileSync(join(folder, nameOf(object))));
	}
	assert.deepEqual(asked, [nameOf(manifest), nameOf(sigtar)]);
});

test('nothing large is held', async () => {
	const { segment } = await theSet();
	truncateSync(join(folder, nameOf(segment)), (1 << 20) + 1);
	ahead.begin(await theSet());
	assert.deepEqual(asked, []);
	assert.equal((await bytes(nameOf(segment))).length, (1 << 20) + 1);
});

test('an object that is gone, or is no message, is told when it is read', async () => {
	const set = await theSet();
	rmSync(join(folder, nameOf(set.segment)));
	writeFileSync(join(folder, nameOf(set.manifest)), 'nothing');
	ahead.begin(set);
	ahead.begin({ ...set, segment: null });
	await until(() => asked.length === 3, 10);
	await assert.rejects(bytes(nameOf(set.segment)), MissingObjectError);
	assert.equal((await bytes(nameOf(set.manifest))).toString(), 'nothing');
});
