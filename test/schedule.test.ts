/** `tsdup schedule`: what it gives to a real systemd, which runs it, and to cron. */
import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { cronLine } from '../src/unattended/cron.js';
import type { Job } from '../src/unattended/job.js';
import { systemdUnits } from '../src/unattended/systemd.js';
import { type Ended, ended, sandbox, smallProfile, tsdup } from './cli.js';
import { Systemd } from './systemd.js';
import { until } from './until.js';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const box = sandbox();
const units = join(box.env.HOME as string, '.config/systemd/user');
/** All that systemd, cron and the shell give a meaning. */
const hostile = `ho%me's $HOME "x" \\n`;
let systemd: Systemd;

before(async () => {
	for (const name of [hostile, 's3backup']) smallProfile(box, name);
	systemd = await Systemd.start(box);
	// On a machine that runs other tests the lowest priority is none.
	setting('tsdup-.service', '[Service]\nNice=0\nIOSchedulingClass=best-effort\n');
});
after(async () => {
	await systemd.stop();
	box.remove();
});

/** Backups on the target. */
function sets(): number {
	const target = join(box.dir, 'target');
	return existsSync(target) ? readdirSync(target).filter((name) => name.includes('.manifest')).length : 0;
}

async function install(...words: string[]): Promise<Ended> {
	const installed = await tsdup(['schedule', ...words, '--user', '--install'], { env: systemd.env });
	assert.equal(installed.code, 0, installed.stderr);
	return installed;
}

/** Adds settings to a unit. @returns what takes them away again */
function setting(unit: string, text: string): () => void {
	const folder = join(units, `${unit}.d`);
	mkdirSync(folder, { recursive: true });
	writeFileSync(join(folder, 'test.conf'), text);
	systemd.ctl('daemon-reload');
	return () => {
		rmSync(folder, { recursive: true });
		systemd.ctl('daemon-reload');
	};
}

/** Nothing of what a shell or PATH would add: as cron starts programs. */
function runByCron(command: string): Promise<Ended> {
	const env = { PATH: '/usr/bin:/bin' };
	return ended(spawn('/bin/sh', ['-c', command], { env, stdio: ['ignore', 'pipe', 'pipe'] }));
}

test('prints the units and writes nothing', async () => {
	const { code, stdout } = await tsdup(['schedule', hostile, '--user'], box);
	assert.equal(code, 0);
	assert.match(stdout, /^OnCalendar=\*-\*-\* 02:30$/m);
	assert.match(stdout, /^Nice=19\nIOSchedulingClass=idle$/m);
	assert.deepEqual(readdirSync(units), ['tsdup-.service.d']);
});

test('--install starts the timer, and systemd makes a backup, whatever is in the names', async () => {
	const { stdout } = await install(hostile, '--on-failure', `echo "failed: 100%" >'${box.dir}/failure'`);
	const timer = /^(tsdup-.*\.timer) is started\./m.exec(stdout)?.[1] as string;
	const service = timer.replace(/timer$/, 'service');
	assert.equal(systemd.ctl('is-enabled', timer).stdout, 'enabled\n');
	assert.match(systemd.show(timer, 'NextElapseUSecRealtime'), / (02:[345]|03:[0-3])\d:\d\d /);
	const names = readdirSync(units).filter((name) => /^tsdup-.*\.(service|timer)$/.test(name));
	const verified = spawnSync('systemd-analyze', ['verify', ...names.map((name) => join(units, name))]);
	assert.deepEqual([verified.status, verified.stdout.toString(), verified.stderr.toString()], [0, '', '']);
	const started = systemd.ctl('start', service);
	assert.equal(started.code, 0, started.stderr);
	assert.equal(systemd.show(service, 'Result'), 'success');
	assert.equal(sets(), 1);

	rmSync(join(box.dir, 'source'), { recursive: true });
	assert.equal(systemd.ctl('start', service).code, 1);
	assert.equal(systemd.show(service, 'Result'), 'exit-code');
	await until(
		() => existsSync(join(box.dir, 'failure')),
		30,
		() => 'the command for failures ran',
	);
	assert.equal(readFileSync(join(box.dir, 'failure'), 'utf8'), 'failed: 100%\n');
	smallProfile(box, hostile);
	systemd.ctl('disable', '--now', timer);
});

test('the timer runs it by itself, and again', async () => {
	await install('s3backup');
	const had = sets();
	const often = 'OnCalendar=\nOnCalendar=*:*:0/2\nAccuracySec=100ms\nRandomizedDelaySec=0\n';
	const undo = setting('tsdup-s3backup.timer', `[Timer]\n${often}`);
	systemd.ctl('restart', 'tsdup-s3backup.timer');
	await until(
		() => sets() >= had + 2,
		30,
		() => 'the timer makes backups',
	);
	systemd.ctl('disable', '--now', 'tsdup-s3backup.timer');
	systemd.ctl('stop', 'tsdup-s3backup.service');
	undo();
});

test('of a batch runs all of it: with systemd, and from cron with all of it in the log', async () => {
	const dir = smallProfile(box, 'batched');
	writeFileSync(join(dir, 'conf'), 'MAX_AGE=1Y\n', { flag: 'a' });
	writeFileSync(join(dir, 'pre'), '#!/bin/sh\necho said by pre\n', { mode: 0o700 });
	const batch = ['batched', 'pre+[bkp-status]_verify_purge', '--force'];
	await install(...batch);
	const said = join(box.dir, 'said');
	setting('tsdup-batched.service', `[Service]\nStandardOutput=file:${said}\n`);
	const started = systemd.ctl('start', 'tsdup-batched.service');
	assert.equal(started.code, 0, started.stderr);
	assert.match(
		readFileSync(said, 'utf8'),
		/^said by pre\n(Full|Incremental) backup of .*\nVerified .*\nThere is nothing to delete\.\n$/,
	);
	assert.equal(
		systemd.show('tsdup-batched.service', 'Description'),
		'tsdup: pre+[bkp-status]_verify_purge of batched',
	);

	const { stdout } = await tsdup(['schedule', ...batch, '--cron'], box);
	const [, command = ''] = /^\d+ \d+ \* \* \* (.*)\n$/.exec(stdout) ?? [];
	const byCron = await runByCron(command.replace('nice -n 19', 'nice -n 0'));
	assert.deepEqual([byCron.code, byCron.stdout, byCron.stderr], [0, '', 'said by pre\n']);
	const log = readFileSync(join(box.env.XDG_CACHE_HOME as string, 'tsdup/logs/batched.log'), 'utf8');
	for (const said of ['said by pre', 'Incremental backup of ', 'Verified ', 'There is nothing'])
		assert.match(log, new RegExp(`Z ${said}`));
	assert.match((await tsdup(['schedule', 'batched', 'purge'], box)).stderr, /Without --force/);
});

test('the service of docs/mount.md is started when the mount stands, reloads, and unmounts', async () => {
	const text = readFileSync(join(ROOT, 'docs/mount.md'), 'utf8');
	const unit = /<!-- test: unit -->\n```ini\n(.*?)```/s.exec(text)?.[1] ?? assert.fail('no unit');
	const program = join(ROOT, 'bin/tsdup.js');
	writeFileSync(join(units, 'snapshots.service'), unit.replace('/usr/local/bin/tsdup', program));
	const at = join(box.env.HOME as string, 'snapshots');
	mkdirSync(at);
	systemd.ctl('daemon-reload');
	const started = systemd.ctl('start', 'snapshots.service');
	assert.equal(started.code, 0, started.stderr);
	assert.equal(readFileSync(join(at, 'latest/file'), 'utf8'), 'content\n');
	assert.match(systemd.show('snapshots.service', 'StatusText'), /^Mounted at .*snapshots\.$/);
	assert.equal(systemd.ctl('reload', 'snapshots.service').code, 0);
	assert.equal(systemd.ctl('is-active', 'snapshots.service').stdout, 'active\n');
	assert.equal(readFileSync(join(at, 'latest/file'), 'utf8'), 'content\n');
	assert.equal(systemd.ctl('stop', 'snapshots.service').code, 0);
	assert.deepEqual([systemd.show('snapshots.service', 'Result'), readdirSync(at)], ['success', []]);
});

test('a unit that systemd would not take is found by the same check', () => {
	const job: Job = {
		name: 'x',
		title: 'x',
		command: ['/no/such/program'],
		environment: {},
		at: { hour: 25, minute: 0 },
		delay: 0,
		system: true,
	};
	const folder = join(box.dir, 'faulty');
	mkdirSync(folder);
	for (const [name, text] of systemdUnits(job)) writeFileSync(join(folder, name), text);
	const verify = (unit: string) =>
		spawnSync('systemd-analyze', ['verify', join(folder, unit)]).stderr.toString();
	assert.match(verify('tsdup-x.timer'), /25:00/);
	assert.match(verify('tsdup-x.service'), /\/no\/such\/program/);
});

test('--cron prints a line whose command makes a backup, logs it, and says only what is wrong', async () => {
	const failure = `echo failed 100% >>'${box.dir}/cron-failure'`;
	const { code, stdout } = await tsdup(
		['schedule', hostile, '--cron', '--at', '23:30', '--on-failure', failure],
		box,
	);
	assert.equal(code, 0);
	const [, minute, hour, command = ''] = /^(\d+) (\d+) \* \* \* (.*)\n$/.exec(stdout) ?? [];
	const late = Number(hour) * 60 + Number(minute);
	assert.ok(late >= 23 * 60 + 30 || late < 30, stdout);
	assert.match(command, / nice -n 19 ionice -c 3 /);
	// As cron does: a backslash before a percent sign goes, the rest is the shell's.
	const asCron = () => runByCron(command.replace('nice -n 19', 'nice -n 0').replaceAll('\\%', '%'));
	await asCron();
	const log = join(box.env.XDG_CACHE_HOME as string, 'tsdup/logs', `${hostile}.log`);
	assert.match(readFileSync(log, 'utf8'), /^\d{4}-.*Z (Incremental|Full) backup of .* is complete/m);
	assert.equal(statSync(log).mode & 0o777, 0o600);
	const again = await asCron();
	assert.deepEqual([again.code, again.stdout, again.stderr], [0, '', '']);

	rmSync(join(box.dir, 'source'), { recursive: true });
	const broken = await asCron();
	assert.match(broken.stderr, /^tsdup: /);
	assert.equal(readFileSync(join(box.dir, 'cron-failure'), 'utf8'), 'failed 100%\n');
	assert.match(readFileSync(log, 'utf8'), /Z error: /);
	smallProfile(box, hostile);
});

test('two machines, or two profiles, do not begin at the same minute', () => {
	const job = (name: string): Job => ({
		name,
		title: '',
		command: ['/n', '/t', 'backup'],
		environment: {},
		at: { hour: 2, minute: 30 },
		delay: 3600,
		system: false,
	});
	const minutes = Array.from({ length: 20 }, (_, i) =>
		cronLine(job(`p${i}`), '/log')
			.split(' ', 2)
			.join(' '),
	);
	assert.ok(new Set(minutes).size > 10);
	assert.equal(cronLine(job('p'), '/log'), cronLine(job('p'), '/log'));
});

test('what is no time, or cannot be written down, is refused', async () => {
	for (const options of [
		['--at', '24:00'],
		['--at', '2.30'],
		['--on-failure', 'a\nb'],
		['--cron', '--install'],
		['backup_restore'],
		['backup_nothing'],
	])
		assert.equal((await tsdup(['schedule', hostile, ...options], box)).code, 2);
});
