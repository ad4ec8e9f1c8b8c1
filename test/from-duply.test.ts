/** docs/from-duply.md: each row of its table of commands is run, by duply and by tsdup, on one profile in turns. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { putOnPath, sandbox } from './cli.js';

const ROOT = fileURLToPath(new URL('../../', import.meta.url));

const box = sandbox();
const home = box.env.HOME as string;
const source = join(box.dir, 'source');
delete box.env.TSDUP_PROFILES;
delete box.env.XDG_CACHE_HOME;

after(() => box.remove());

/** Cells of the first table, without its head. */
function rows(): [string, string][] {
	const lines = readFileSync(join(ROOT, 'docs/from-duply.md'), 'utf8').split('\n');
	const first = lines.indexOf('| duply | tsdup |') + 2;
	const last = lines.findIndex((line, i) => i > first && !line.startsWith('|'));
	return lines.slice(first, last).map((line) => {
		const [, duply = '', tsdup = ''] = line.split('|');
		return [duply, tsdup];
	});
}

const commands = (cell: string) => [...cell.matchAll(/`([^`]+)`/g)].map(([, command]) => command as string);

/** What the table says, in the sandbox. There is no backup of a week ago. */
function shell(command: string, by: string): string {
	const here = command
		.replaceAll('/tmp/', `${box.dir}/${by}-`)
		.replace(' /etc', ` ${join(source, 'etc')}`)
		.replace(/ [17]D/, ' now');
	// duplicity stumbles over a set that another run has made in the same second.
	const later = /\b(full|incr|backup|bkp|run)\b|_bkp/.test(command) ? 'sleep 1.1' : ':';
	const { status, stdout, stderr } = spawnSync('bash', ['-ec', `${later}\n${here}`], {
		cwd: home,
		env: box.env,
		encoding: 'utf8',
		maxBuffer: 2 ** 26,
	});
	assert.equal(status, 0, `${here}\n${stdout}\n${stderr}`);
	return stdout;
}

before(() => {
	putOnPath(box);
	box.env.MANPATH = join(ROOT, 'build/man');
	mkdirSync(join(source, 'etc'), { recursive: true });
	mkdirSync(join(box.dir, 'target'));
	mkdirSync(join(home, '.duply'), { mode: 0o700 });
	writeFileSync(join(source, 'etc/passwd'), 'root:x:0:0\n');
	const profile = join(home, '.duply/home');
	mkdirSync(profile, { mode: 0o700 });
	const conf = `SOURCE='${source}'\nTARGET='file://${join(box.dir, 'target')}'\nGPG_KEY='disabled'
MAX_AGE=6M\nMAX_FULL_BACKUPS=9\nMAX_FULLS_WITH_INCRS=9\n`;
	writeFileSync(join(profile, 'conf'), conf, { mode: 0o600 });
	for (const script of ['pre', 'post'])
		writeFileSync(join(profile, script), `#!/bin/sh\necho ${script} >>'${box.dir}/scripts'\n`, {
			mode: 0o755,
		});
	writeFileSync(join(profile, 'exclude'), '');
});

test('creates the same profile, in a place that each looks into', () => {
	const [[duply = '', tsdup = ''] = []] = rows();
	assert.match(duply, /create/);
	const renamed = (cell: string, by: string) => commands(cell)[0]?.replace('home', `new-${by}`) as string;
	for (const [cell, by] of [
		[duply, 'duply'],
		[tsdup, 'tsdup'],
	] as const)
		shell(renamed(cell, by), by);
	for (const place of ['.duply/new-duply', '.tsdup/new-tsdup'])
		assert.match(readFileSync(join(home, place, 'conf'), 'utf8'), /^SOURCE='\/path\/of\/source'$/m);
});

for (const [duply, tsdup] of rows().slice(1)) {
	test(`${duply.trim()} and ${tsdup.trim()}`, () => {
		const theirs = commands(duply);
		const ours = tsdup.includes('then')
			? [
					'mkdir snapshots; tsdup mount -p home snapshots; diff -r snapshots/latest/etc /etc; tsdup umount snapshots',
				]
			: commands(tsdup);
		if (ours.length > 0) assert.equal(ours.length, theirs.length);
		for (const command of theirs) shell(command, 'duply');
		for (const command of ours) shell(command, 'tsdup');
	});
}

test('both gave back the same', () => {
	for (const by of ['duply', 'tsdup']) {
		assert.equal(readFileSync(join(box.dir, `${by}-passwd`), 'utf8'), 'root:x:0:0\n');
		assert.equal(readFileSync(join(box.dir, `${by}-all/etc/passwd`), 'utf8'), 'root:x:0:0\n');
	}
});
