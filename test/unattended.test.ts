/** Backups that run without anybody there: the units and lines of `schedule`, the log, and what `doctor` finds. */
import assert from 'node:assert/strict';
import { execFileSync, spawn, spawnSync } from 'node:child_process';
import { chmodSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { cronLine } from '../src/unattended/cron.js';
import type { Finding } from '../src/unattended/finding.js';
import type { Job } from '../src/unattended/job.js';
import { systemdUnits } from '../src/unattended/systemd.js';
import { type Ended, ended, profile, type Sandbox, sandbox, tsdup } from './cli.js';
import { Days } from './days.js';
import { copySecretKey } from './fixtures.js';
import { startRadosgw } from './radosgw.js';

const PASSPHRASE = 'a passphrase that is long enough';

function prepared(box: Sandbox, name: string): string {
	const source = join(box.dir, 'source');
	mkdirSync(source, { recursive: true });
	writeFileSync(join(source, 'file'), 'content\n');
	return profile(
		box,
		name,
		`SOURCE='${source}'\nTARGET='file://${box.dir}/target'\nGPG_PW='${PASSPHRASE}'\n`,
	);
}

/** Nothing of what a shell or PATH would add: as systemd and cron start programs. */
function runWords(words: string[], env: NodeJS.ProcessEnv): Promise<Ended> {
	return ended(spawn(words[0] as string, words.slice(1), { env, stdio: ['ignore', 'pipe', 'pipe'] }));
}

/** The quoted words of a unit's line, as systemd reads them. */
function unitWords(text: string, setting: string): string[][] {
	const lines = text.split('\n').filter((line) => line.startsWith(`${setting}=`));
	return lines.map((line) => {
		const words = [...line.slice(setting.length + 1).matchAll(/"((?:[^"\\]|\\.)*)"|(\S+)/g)];
		return words.map(([, quoted, bare]) =>
			(quoted ?? bare ?? '').replaceAll(/\\(.)/g, '$1').replaceAll('%%', '%').replaceAll('$$', '$'),
		);
	});
}

describe('schedule', () => {
	const box = sandbox();
	after(() => box.remove());
	const units = join(box.env.HOME as string, '.config/systemd/user');
	/** All that systemd, cron and the shell give a meaning. */
	const hostile = `ho%me's $HOME "x" \\n`;

	before(() => {
		prepared(box, hostile);
	});

	test('prints the units and writes nothing', async () => {
		const { code, stdout } = await tsdup(['schedule', hostile, '--user'], box);
		assert.equal(code, 0);
		assert.match(stdout, /^OnCalendar=\*-\*-\* 02:30$/m);
		assert.match(stdout, /^Nice=19\nIOSchedulingClass=idle$/m);
		assert.deepEqual(readdirSync(box.env.HOME as string), []);
	});

	test('--install writes units that systemd finds no fault with, and whose command makes a backup', async () => {
		const failure = `echo "failed: 100%" >'${box.dir}/failure'`;
		const installed = await tsdup(['schedule', hostile, '--user', '--install', '--on-failure', failure], box);
		assert.ok([0, 3].includes(installed.code), installed.stderr);
		const names = readdirSync(units).sort();
		assert.equal(names.length, 3);
		const verified = spawnSync('systemd-analyze', ['verify', ...names.map((name) => join(units, name))]);
		assert.deepEqual([verified.status, verified.stdout.toString(), verified.stderr.toString()], [0, '', '']);

		const [failed = '', service = ''] = names.map((name) => readFileSync(join(units, name), 'utf8'));
		const environment = Object.fromEntries(
			unitWords(service, 'Environment').map(([assignment = '']) => assignment.split(/=(.*)/s).slice(0, 2)),
		) as Record<string, string>;
		assert.equal(environment.HOME, box.env.HOME);
		const [words = []] = unitWords(service, 'ExecStart');
		const run = await runWords(words, { PATH: '/usr/bin:/bin', ...environment });
		assert.equal(run.code, 0, run.stderr);
		assert.match(run.stdout, /^Full backup of /);
		assert.ok(readdirSync(join(box.dir, 'target')).some((name) => name.includes('manifest')));
		assert.match(service, /^OnFailure=.*-failed.service$/m);
		const [command = []] = unitWords(failed, 'ExecStart');
		assert.equal((await runWords(command, { PATH: '/usr/bin:/bin' })).code, 0);
		assert.equal(readFileSync(join(box.dir, 'failure'), 'utf8'), 'failed: 100%\n');
	});

	test('of a batch runs all of it: with the timer, and from cron with all of it in the log', async () => {
		const dir = prepared(box, 'batched');
		writeFileSync(join(dir, 'conf'), 'MAX_AGE=1Y\n', { flag: 'a' });
		writeFileSync(join(dir, 'pre'), '#!/bin/sh\necho said by pre\n', { mode: 0o700 });
		const batch = ['batched', 'pre+[bkp-status]_verify_purge', '--force'];
		const installed = await tsdup(['schedule', ...batch, '--user', '--install'], box);
		assert.ok([0, 3].includes(installed.code), installed.stderr);
		const names = ['tsdup-batched.service', 'tsdup-batched.timer'].map((name) => join(units, name));
		const verified = spawnSync('systemd-analyze', ['verify', ...names]);
		assert.deepEqual([verified.status, verified.stderr.toString()], [0, '']);
		const service = readFileSync(names[0] as string, 'utf8');
		for (const name of names) rmSync(name);
		const [words = []] = unitWords(service, 'ExecStart');
		assert.match(service, /^Description=tsdup: pre\+\[bkp-status\]_verify_purge of batched$/m);
		const env = { PATH: '/usr/bin:/bin', HOME: box.env.HOME, XDG_CACHE_HOME: box.env.XDG_CACHE_HOME };
		const run = await runWords(words, env);
		assert.equal(run.code, 0, run.stderr);
		assert.match(
			run.stdout,
			/^(Full|Incremental) backup of .*\nVerified .*\nThere is nothing to delete\.\n$/,
		);

		const { stdout } = await tsdup(['schedule', ...batch, '--cron'], box);
		const [, command = ''] = /^\d+ \d+ \* \* \* (.*)\n$/.exec(stdout) ?? [];
		const line = command.replace('nice -n 19', 'nice -n 0');
		const byCron = await runWords(['/bin/sh', '-c', line], { PATH: '/usr/bin:/bin' });
		assert.deepEqual([byCron.code, byCron.stdout, byCron.stderr], [0, '', 'said by pre\n']);
		const log = readFileSync(join(box.env.XDG_CACHE_HOME as string, 'tsdup/logs/batched.log'), 'utf8');
		for (const said of ['said by pre', 'Incremental backup of ', 'Verified ', 'There is nothing'])
			assert.match(log, new RegExp(`Z ${said}`));
		assert.match((await tsdup(['schedule', 'batched', 'purge'], box)).stderr, /Without --force/);
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
		// As cron does: a backslash before a percent sign goes, the rest is the shell's. The priority is left as it is: on a
		// machine that runs other tests the lowest is none.
		const asCron = () =>
			runWords(['/bin/sh', '-c', command.replace('nice -n 19', 'nice -n 0').replaceAll('\\%', '%')], {
				PATH: '/usr/bin:/bin',
			});
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
		prepared(box, hostile);
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
});

describe('--log', () => {
	const box = sandbox();
	after(() => box.remove());

	test('takes what is said, also with -q, and is put aside when it is full', async () => {
		prepared(box, 'p');
		const log = join(box.dir, 'log');
		writeFileSync(log, 'x'.repeat(2 ** 20 + 1), { mode: 0o600 });
		assert.equal((await tsdup(['-q', '--log', log, 'backup', 'p'], box)).code, 0);
		assert.match(readFileSync(log, 'utf8'), /^\S+Z Full backup of .* is complete.*\n$/);
		assert.equal(statSync(`${log}.1`).size, 2 ** 20 + 1);
		assert.equal((await tsdup(['--log', log, 'status', 'none'], box)).code, 2);
		assert.match(readFileSync(log, 'utf8'), /Z error: no profile "none"/);
	});

	test('that cannot be written is an error before anything is done', async () => {
		const { code, stderr } = await tsdup(['--log', join(box.dir, 'none/log'), 'backup', 'p'], box);
		assert.equal(code, 1);
		assert.match(stderr, /The log .* cannot be written/);
	});
});

describe('create', () => {
	const box = sandbox();
	after(() => box.remove());

	/** Answers typed at a terminal. @returns what was seen there */
	function typed(name: string, lines: readonly string[]): string {
		// Each when it is asked for: what is typed before the terminal is ours would be shown.
		const script = `
import os, pty, re, sys
pid, terminal = pty.fork()
if pid == 0:
    os.execv(sys.argv[1], [sys.argv[1], sys.argv[2], 'create', sys.argv[3]])
seen, answers, answered = b'', sys.argv[4:], -1
while True:
    try:
        data = os.read(terminal, 4096)
    except OSError:
        break
    if not data:
        break
    seen += data
    asked = re.search(rb': (\\x1b\\[\\d+G)?$', seen)
    if asked and asked.start() > answered and answers:
        answered = asked.start()
        os.write(terminal, answers.pop(0).encode() + b'\\r')
os.waitpid(pid, 0)
sys.stdout.buffer.write(seen)
`;
		const main = join(import.meta.dirname, 'tsdup.js');
		return execFileSync('/usr/bin/python3', ['-c', script, process.execPath, main, name, ...lines], {
			env: box.env,
		}).toString();
	}

	const conf = (name: string) => join(box.env.TSDUP_PROFILES as string, name, 'conf');

	test('at a terminal asks for what must be known, and what it makes works at once', async () => {
		const source = join(box.dir, "it's a folder");
		mkdirSync(source);
		writeFileSync(join(source, 'file'), 'content\n');
		const target = join(box.dir, 'target');
		const seen = typed('guided', [
			source,
			'',
			'ftp://no',
			target,
			'short',
			PASSPHRASE,
			`${PASSPHRASE}x`,
			PASSPHRASE,
			PASSPHRASE,
		]);
		assert.match(seen, /What to back up \[/);
		assert.match(seen, /ftp:\/\/ are not supported/);
		assert.match(seen, /That is too short\.[\s\S]*They differ\./);
		assert.ok(!seen.includes(PASSPHRASE), 'the passphrase is not shown');
		const { code, stderr } = await tsdup(['backup', 'guided'], box);
		assert.equal(code, 0, stderr);
		assert.ok(readdirSync(target).length >= 4);
		assert.equal(statSync(conf('guided')).mode & 0o777, 0o600);
	});

	test('makes a passphrase when none is typed, and says it once', async () => {
		const seen = typed('made', [box.dir, join(box.dir, 'made'), '']);
		const [, passphrase = ''] = /The passphrase: ([a-z2-9-]{29})\r/.exec(seen) ?? [];
		assert.match(passphrase, /^(\w{5}-){4}\w{5}$/);
		assert.ok(readFileSync(conf('made'), 'utf8').includes(`GPG_PW='${passphrase}'`));
		assert.ok(!typed('made2', [box.dir, join(box.dir, 'made'), '']).includes(passphrase));
	});

	test('knows what S3 needs', async () => {
		const secret = `se/cr+et'"$x`;
		const seen = typed('s3', [
			box.dir,
			's3:///bucket/home',
			'https://s3.example.com',
			'ia',
			'AKEY',
			secret,
			'',
		]);
		assert.ok(!seen.includes(secret));
		const text = readFileSync(conf('s3'), 'utf8');
		assert.match(text, /^DUPL_PARAMS="\$DUPL_PARAMS --s3-endpoint-url https:\/\/s3.example.com"$/m);
		assert.match(text, /^DUPL_PARAMS="\$DUPL_PARAMS --s3-use-ia"$/m);
		assert.match(text, /^#DUPL_PARAMS="\$DUPL_PARAMS --s3-region-name eu-central-1"$/m);
		const said = execFileSync('bash', [
			'-c',
			'. "$0"; printf "%s\\n" "$AWS_SECRET_ACCESS_KEY" "$TARGET"',
			conf('s3'),
		]);
		assert.equal(said.toString(), `${secret}\ns3:///bucket/home\n`);
		typed('amazon', [box.dir, 's3:///bucket/home', '', '', '', '', '']);
		assert.match(
			readFileSync(conf('amazon'), 'utf8'),
			/^DUPL_PARAMS="\$DUPL_PARAMS --s3-region-name eu-central-1"$/m,
		);
	});

	test('asks nothing without a terminal, and the conf must then be edited', async () => {
		assert.equal((await tsdup(['create', 'plain'], box)).code, 0);
		const { code, stderr } = await tsdup(['backup', 'plain'], box);
		assert.equal(code, 2);
		assert.match(stderr, /edit .*SOURCE/);
	});
});

describe('doctor', () => {
	const box = sandbox();
	after(() => box.remove());
	const source = join(box.dir, 'source');
	const target = join(box.dir, 'target');
	let dir: string;

	async function doctor(name: string, ...options: string[]): Promise<Ended & { findings: Finding[] }> {
		const end = await tsdup(['--json', 'doctor', name, ...options], box);
		const lines = end.stdout
			.split('\n')
			.filter(Boolean)
			.map((line) => JSON.parse(line));
		assert.ok(!end.stdout.includes(PASSPHRASE) && !end.stderr.includes(PASSPHRASE));
		return { ...end, findings: lines.slice(0, -1) };
	}

	/** The one finding of a check that is not ok. */
	function complaint(findings: Finding[], check: string): Finding {
		const [found, ...others] = findings.filter(
			(finding) => finding.check === check && finding.state !== 'ok',
		);
		assert.ok(found && others.length === 0, JSON.stringify(findings));
		assert.ok(found.mend && found.mend.length > 10);
		return found;
	}

	before(async () => {
		dir = prepared(box, 'p');
		assert.equal((await tsdup(['backup', 'p'], box)).code, 0);
	});

	test('of a sound profile complains of the missing copy alone, and of nothing once that is noted', async () => {
		const first = await doctor('p');
		assert.equal(first.code, 3, first.stdout);
		assert.match(complaint(first.findings, 'copy').mend ?? '', /--kept/);
		const before = readdirSync(target);
		const second = await doctor('p', '--kept', 'on paper, in the safe');
		const complaints = second.findings.filter(
			({ state, check }) => state !== 'ok' && check !== 'cache' && check !== 'room',
		);
		assert.deepEqual(complaints, []);
		assert.ok([0, 3].includes(second.code));
		assert.deepEqual(readdirSync(target), before);
		assert.match(second.stdout, /on paper, in the safe/);
		assert.ok(!readFileSync(join(dir, 'kept-elsewhere'), 'utf8').includes(PASSPHRASE));
		assert.equal(statSync(join(dir, 'kept-elsewhere')).mode & 0o777, 0o600);
	});

	test('says in words what it found and how to mend it', async () => {
		const { stdout } = await tsdup(['doctor', 'p', '--max-age', '1s'], box);
		assert.match(
			stdout,
			/^warning {2}backup: The last backup is of .* ago\n {11}to mend it: .*tsdup backup p/m,
		);
		assert.match(stdout, /^ok .* write: A small object was put, read and deleted$/m);
	});

	test('finds a damaged index, and leaves it to index rebuild', async () => {
		const [id = ''] = readdirSync(join(box.env.XDG_CACHE_HOME as string, 'tsdup/collections'));
		const path = join(box.env.XDG_CACHE_HOME as string, 'tsdup/collections', id, 'index.sqlite');
		const bytes = readFileSync(path);
		writeFileSync(path, Buffer.concat([bytes.subarray(0, 4096), Buffer.alloc(bytes.length - 4096, 7)]));
		const { code, findings } = await doctor('p');
		assert.equal(code, 1);
		assert.match(complaint(findings, 'index').mend ?? '', /tsdup index rebuild p/);
		assert.equal((await tsdup(['index', 'rebuild', 'p'], box)).code, 0);
		assert.ok((await doctor('p')).findings.some(({ check, state }) => check === 'index' && state === 'ok'));
	});

	test('finds what the target lacks, and what belongs to no backup', async () => {
		const volume = readdirSync(target).find((name) => name.includes('vol1')) as string;
		const bytes = readFileSync(join(target, volume));
		rmSync(join(target, volume));
		const stray = 'duplicity-full.20200101T000000Z.vol1.difftar.gpg';
		writeFileSync(join(target, stray), 'x');
		const { code, findings } = await doctor('p');
		assert.equal(code, 1);
		assert.match(complaint(findings, 'sets').found, /missing/);
		assert.match(complaint(findings, 'orphans').mend ?? '', /tsdup cleanup p --force/);
		writeFileSync(join(target, volume), bytes);
		rmSync(join(target, stray));
	});

	test('finds that the target is gone, that the source is gone, and that the passphrase is another', async () => {
		const conf = (lines: string) =>
			`SOURCE='${source}'\nTARGET='file://${target}'\nGPG_PW='${PASSPHRASE}'\n${lines}\n`;
		profile(box, 'nowhere', conf(`TARGET='file://${box.dir}/none'\nSOURCE='${box.dir}/none'`));
		const nowhere = await doctor('nowhere');
		assert.equal(nowhere.code, 1);
		assert.match(complaint(nowhere.findings, 'target').found, /does not exist/);
		complaint(nowhere.findings, 'source');
		profile(box, 'wrong', conf(`GPG_PW='another'`));
		const wrong = await doctor('wrong');
		assert.equal(wrong.code, 1);
		assert.match(complaint(wrong.findings, 'backup').found, /passphrase/);
		assert.match(complaint(wrong.findings, 'key').found, /fewer than 12/);
		profile(box, 'unedited', `TARGET='scheme://user[:password]@host[:port]/[/]path'\n`);
		const unedited = await doctor('unedited');
		assert.equal(unedited.code, 1);
		assert.match(complaint(unedited.findings, 'profile').found, /TARGET/);
	});

	test('finds a conf that others can write, and a profile that was open to them', async () => {
		chmodSync(join(dir, 'conf'), 0o666);
		const written = await doctor('p');
		assert.equal(written.code, 1);
		assert.match(complaint(written.findings, 'profile').mend ?? '', /chmod 600/);
		chmodSync(join(dir, 'conf'), 0o600);
		chmodSync(dir, 0o755);
		assert.match(complaint((await doctor('p')).findings, 'profile').found, /open to other/);
	});

	test('finds that there is little room, for the caches and on the target', {
		skip: process.getuid?.() !== 0,
	}, async () => {
		const disk = join(box.dir, 'small disk');
		mkdirSync(disk);
		execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=50m', 'tmpfs', disk]);
		try {
			mkdirSync(join(disk, 'target'));
			profile(
				box,
				'cramped',
				`SOURCE='${source}'\nTARGET='file://${disk}/target'\nGPG_PW='${PASSPHRASE}'\nARCH_DIR='${disk}'\n`,
			);
			const { code, findings } = await doctor('cramped');
			assert.equal(code, 1);
			const cache = complaint(findings, 'cache');
			assert.equal(cache.state, 'failed');
			assert.match(cache.found, /^0\.[01] GB are free .* in .*small disk/);
			const room = complaint(findings, 'room');
			assert.equal(room.state, 'warning');
			assert.match(room.found, /^0\.[01] GB are free on the target$/);
		} finally {
			execFileSync('umount', [disk]);
		}
	});

	test('finds that the clock is another than that of the disk', async () => {
		const days = new Days(join(box.dir, 'clock'));
		days.set(1);
		const { stdout } = await tsdup(['doctor', 'p'], { env: { ...box.env, ...days.env } });
		assert.match(
			stdout,
			/^warning {2}clock: This clock and the target's are 86[34]\d\d s apart\n.*timedatectl/m,
		);
	});

	test('notices that the passphrase is not the one of which a copy is kept', async () => {
		const conf = join(dir, 'conf');
		const before = readFileSync(conf, 'utf8');
		writeFileSync(conf, before.replace(PASSPHRASE, 'a different passphrase, also long'));
		assert.match(complaint((await doctor('p')).findings, 'copy').found, /changed/);
		writeFileSync(conf, before);
	});

	test('tells a machine that can only write backups from one that can read them', async () => {
		const key = 'BE0139F7AD67C590';
		const conf = `SOURCE='${source}'\nTARGET='file://${box.dir}/by-key'\nGPG_KEY='${key}'\nGPG_PW='fixture-passphrase'\n`;
		const folder = profile(box, 'by-key', conf);
		mkdirSync(join(box.dir, 'by-key'));
		const none = await doctor('by-key');
		assert.equal(none.code, 1);
		assert.match(complaint(none.findings, 'key').found, /No public key/);
		const fixture = join(import.meta.dirname, '../../test/fixtures/keys/rsa.public.asc');
		writeFileSync(join(folder, `gpgkey.${key}.pub.asc`), readFileSync(fixture));
		assert.match(complaint((await doctor('by-key')).findings, 'key').found, /not open/);
		copySecretKey('rsa', key, folder);
		const { findings } = await doctor('by-key');
		assert.ok(
			findings.some(({ check, state }) => check === 'key' && state === 'ok'),
			JSON.stringify(findings),
		);
	});

	test('says that another run works, and then does not write', async () => {
		const [id = ''] = readdirSync(join(box.env.XDG_CACHE_HOME as string, 'tsdup/collections')).filter(
			(name) =>
				readdirSync(join(box.env.XDG_CACHE_HOME as string, 'tsdup/collections', name)).includes(
					'lock.sqlite',
				),
		);
		assert.ok(id);
		const hold = `const db = require('better-sqlite3')(process.argv[1]); db.exec('BEGIN EXCLUSIVE'); console.log('held'); setInterval(() => {}, 1e6)`;
		const held: string[] = [];
		const children = readdirSync(join(box.env.XDG_CACHE_HOME as string, 'tsdup/collections')).map((name) => {
			const path = join(box.env.XDG_CACHE_HOME as string, 'tsdup/collections', name, 'lock.sqlite');
			return spawn(process.execPath, ['-e', hold, path], {
				cwd: import.meta.dirname,
				stdio: ['ignore', 'pipe', 'inherit'],
			});
		});
		for (const child of children)
			await new Promise((resolve) => child.stdout?.once('data', (said) => resolve(held.push(String(said)))));
		const { findings } = await doctor('p');
		for (const child of children) child.kill();
		assert.match(findings.find(({ check }) => check === 'lock')?.found ?? '', /Another tsdup/);
		assert.ok(!findings.some(({ check }) => check === 'write'));
	});
});

describe('doctor on S3', () => {
	const box = sandbox();
	after(() => box.remove());

	test('puts, reads and deletes an object, and compares the clocks', async () => {
		const { endpoint, accessKeyId, secretAccessKey, createBucket } = await startRadosgw();
		await createBucket('doctor');
		const conf = (
			key: string,
		) => `SOURCE='${box.dir}'\nTARGET='s3:///doctor/home'\nTARGET_USER='${accessKeyId}'\nTARGET_PASS='${key}'
GPG_PW='${PASSPHRASE}'\nDUPL_PARAMS="$DUPL_PARAMS --s3-endpoint-url ${endpoint}"\n`;
		profile(box, 's3', conf(secretAccessKey));
		const { code, stdout, stderr } = await tsdup(['doctor', 's3'], box);
		assert.equal(code, 3, stderr);
		assert.match(stdout, /^ok .* clock: This clock and the target's are \d+ s apart$/m);
		assert.match(stdout, /^ok .* write: A small object was put, read and deleted$/m);
		assert.match(stdout, /^warning {2}backup: There is no backup yet$/m);
		const days = new Days(join(box.dir, 'clock'));
		days.set(1);
		const late = await tsdup(['doctor', 's3'], { env: { ...box.env, ...days.env } });
		assert.match(
			late.stdout,
			/^warning {2}clock: This clock and the target's are 86[34]\d\d s apart\n.*timedatectl set-ntp true$/m,
		);
		assert.match(late.stdout, /^ok .* write: A small object was put, read and deleted$/m);
		profile(box, 'refused', conf('wrong'));
		const refused = await tsdup(['doctor', 'refused'], box);
		assert.equal(refused.code, 1);
		assert.match(refused.stdout, /^FAILED {3}target: .* secret key/m);
		assert.ok(!refused.stdout.includes(PASSPHRASE));
	});
});
