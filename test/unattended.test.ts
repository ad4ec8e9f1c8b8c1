/** Backups that run without anybody there: the log, the conf that `create` writes, and what `doctor` finds. */
import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { chmodSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import type { Finding } from '../src/unattended/finding.js';
import { type Ended, profile, sandbox, smallProfile, tsdup } from './cli.js';
import { Days } from './days.js';
import { copySecretKey } from './fixtures.js';
import { startRadosgw } from './radosgw.js';

const PASSPHRASE = 'a passphrase that is long enough';

describe('--log', () => {
	const box = sandbox();
	after(() => box.remove());

	test('takes what is said, also with -q, and is put aside when it is full', async () => {
		smallProfile(box, 'p');
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
		dir = smallProfile(box, 'p');
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
