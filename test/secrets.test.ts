/** What must stay secret: on no command line, in no message, log or file of the cache; and nothing decrypted on disk. */
import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { cpSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { ended, profile, type Sandbox, sandbox, startTsdup } from './cli.js';

const KEYS = join(import.meta.dirname, '../../test/fixtures/keys');
/** In file contents and in a name. Compressed and encrypted it cannot be found; as it is, it can. */
const MARKER = 'marker-of-what-is-secret';

const passphrase = 'hunter2-of-the-secrets-test';
const cases: { name: string; secrets: string[]; conf: string; prepare: (dir: string) => void }[] = [
	{ name: 'a passphrase', secrets: [passphrase], conf: `GPG_PW='${passphrase}'`, prepare: () => {} },
	{
		name: 'a secret key in the profile',
		secrets: ['fixture-passphrase'],
		conf: `GPG_KEY='BE0139F7AD67C590'\nGPG_PW='fixture-passphrase'`,
		prepare: (dir) => {
			cpSync(join(KEYS, 'rsa.public.asc'), join(dir, 'gpgkey.BE0139F7AD67C590.pub.asc'));
			cpSync(join(KEYS, 'rsa.secret.asc'), join(dir, 'gpgkey.BE0139F7AD67C590.sec.asc'));
		},
	},
];

for (const { name, secrets, conf, prepare } of cases) {
	describe(name, () => {
		const box = sandbox();
		const mountpoint = join(box.dir, 'mnt');
		const source = join(box.dir, 'source');
		after(() => box.remove());

		test('is seen on no command line and in no output of backup, mount, restore and umount', async () => {
			mkdirSync(source);
			mkdirSync(mountpoint);
			writeFileSync(join(source, 'plain'), `${MARKER}\n`.repeat(1000));
			writeFileSync(join(source, 'mixed'), Buffer.concat([Buffer.from(MARKER), randomBytes(3_000_000)]));
			prepare(profile(box, 'p', `SOURCE='${source}'\nTARGET='file://${box.dir}/target'\n${conf}\n`));
			const said: string[] = [];
			const lines = new Set<string>();
			for (const args of [
				['backup', 'p'],
				['-v', 'backup', 'p', '--full'],
				['-v', 'mount', '-p', 'p', mountpoint],
				['cat'],
				['-v', 'restore', 'p', join(box.dir, 'restored')],
				['umount', mountpoint],
			]) {
				if (args[0] === 'cat') {
					for (const file of ['plain', 'mixed'])
						execFileSync('cat', [join(mountpoint, 'latest', file)], { stdio: 'ignore' });
					continue;
				}
				said.push(await watched(box, args, lines));
			}
			assert.ok(
				[...lines].some((line) => line.includes('backup')),
				'command lines were seen',
			);
			said.push(readFileSync(join(box.env.XDG_CACHE_HOME as string, 'tsdup/mount.log'), 'utf8'));
			for (const secret of [...secrets, 'PRIVATE KEY']) {
				for (const text of [...lines, ...said]) assert.ok(!text.includes(secret), text);
			}
		});

		test('is in no file of the cache or the target, and neither is what was decrypted', () => {
			const cache = box.env.XDG_CACHE_HOME as string;
			for (const word of [MARKER, ...secrets]) {
				const found = spawnSync('grep', ['-rla', '--', word, cache, join(box.dir, 'target')]);
				assert.equal(found.stdout.toString(), '');
			}
			const held = execFileSync('find', [cache, '-name', 'index.sqlite']).toString();
			assert.notEqual(held, '', 'there is a cache');
		});

		test('and the cache is for its owner alone, whatever the umask', () => {
			const cache = join(box.env.XDG_CACHE_HOME as string, 'tsdup');
			const open = execFileSync('find', [cache, '-perm', '/077', '-printf', '%m %P\n']).toString();
			assert.equal(open, '');
		});
	});
}

/** Runs tsdup with an open umask and looks at the command lines of all processes meanwhile. @returns what it said */
async function watched(box: Sandbox, args: string[], lines: Set<string>): Promise<string> {
	const umask = process.umask(0);
	const child = startTsdup(args, box);
	process.umask(umask);
	const end = ended(child);
	while (child.exitCode === null) {
		for (const pid of readdirSync('/proc').filter((entry) => /^\d+$/.test(entry))) {
			try {
				// Ours and its children's: what else runs on this machine has its own secrets.
				const ours = readFileSync(`/proc/${pid}/environ`, 'latin1').includes(box.dir);
				if (ours) lines.add(readFileSync(`/proc/${pid}/cmdline`, 'latin1'));
			} catch {
				// It has ended.
			}
		}
		await sleep(2);
	}
	const { code, stdout, stderr } = await end;
	assert.equal(code, 0, stderr);
	return stdout + stderr;
}
