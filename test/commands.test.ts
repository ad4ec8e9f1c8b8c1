/**
 * Every line of README.md and docs/ that runs tsdup is run, in a home with a profile of that name. Blocks between fences are run by
 * other tests; what `schedule --install` installs, by schedule.test.ts.
 */
import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { profile, putOnPath, sandbox, tsdup } from './cli.js';
import { Days } from './days.js';

const ROOT = fileURLToPath(new URL('../../', import.meta.url));
/** S3 with the credentials of the machine: foreign-s3.test.ts and others mount such URLs. */
const ELSEWHERE = ['tsdup mount --target s3:///bucket/prefix snapshots'];

const box = sandbox();
const home = box.env.HOME as string;
const target = join(box.dir, 'target');

/** Indented lines, with what explains them cut off. */
function commandsOf(document: string): string[] {
	const lines = readFileSync(join(ROOT, document), 'utf8').split('\n');
	const commands = lines.flatMap(
		(line) => /^ {4}(?:\$ )?(tsdup .*)$/.exec(line)?.[1]?.split(/ {2,}/)[0] ?? [],
	);
	return commands.filter((command) => !ELSEWHERE.includes(command));
}

before(async () => {
	putOnPath(box);
	box.env.PASSPHRASE = 'of the commands';
	for (const name of ['source/letters', 'home/snapshots', 'files'])
		mkdirSync(join(box.dir, name), { recursive: true });
	writeFileSync(join(box.dir, 'source/letters/ada.txt'), 'Dear Ada\n');
	const conf = `SOURCE='${box.dir}/source'\nTARGET='file://${target}'\nGPG_PW='of the commands'\n`;
	const dir = profile(box, 'home', `${conf}MAX_AGE=6M\nMAX_FULL_BACKUPS=9\nMAX_FULLS_WITH_INCRS=9\n`);
	for (const script of ['pre', 'post']) writeFileSync(join(dir, script), '#!/bin/sh\n', { mode: 0o755 });
	// Eight days ago, and before any date that the docs name.
	const days = new Days(join(box.dir, 'clock'));
	const ago = Math.ceil((Date.now() - Date.UTC(2026, 10, 16)) / 86_400_000);
	days.set(Math.max(8, ago));
	const { code, stderr } = await tsdup(['backup', 'home'], { env: { ...box.env, ...days.env } });
	assert.equal(code, 0, stderr);
});
after(() => box.remove());

function run(command: string): void {
	const here = command
		.replaceAll('/tmp/', `${box.dir}/files/`)
		.replace('file:///home/me/disk', `file://${target}`)
		.replace(/^tsdup create/, 'TSDUP_PROFILES=~/new tsdup create')
		.replace('my-duply-profile', 'home')
		.replace(' --install', '');
	if (here.startsWith('tsdup mount'))
		spawnSync('tsdup', ['umount', 'snapshots'], { cwd: home, env: box.env });
	// A restore goes to where nothing is yet.
	execFileSync('bash', ['-c', `rm -rf '${box.dir}'/files/* ~/restored*`], { env: box.env });
	const { status, stdout, stderr } = spawnSync('bash', ['-ec', `set -o pipefail; ${here}`], {
		cwd: home,
		env: box.env,
		encoding: 'utf8',
	});
	// doctor finds that the passphrase is kept nowhere else.
	const codes = here.startsWith('tsdup doctor') ? [0, 3] : [0];
	assert.ok(codes.includes(status ?? -1), `${here} ended with ${status}\n${stdout}\n${stderr}`);
}

for (const document of ['README.md', ...readdirSync(join(ROOT, 'docs')).map((name) => `docs/${name}`)]) {
	const commands = commandsOf(document);
	if (commands.length === 0) continue;
	test(`the ${commands.length} commands in ${document}`, () => {
		for (const command of commands) run(command);
	});
}

test('there are some, of each command but those that other programs call', () => {
	const all = ['README.md', 'docs/unattended.md', 'docs/bad-day.md', 'docs/duplicity.md'].flatMap(commandsOf);
	const words = new Set(all.map((command) => command.split(' ')[1]));
	for (const word of [
		'create',
		'backup',
		'mount',
		'umount',
		'status',
		'list',
		'restore',
		'fetch',
		'verify',
		'purge',
		'run',
		'schedule',
		'doctor',
	])
		assert.ok(words.has(word), word);
});
