/**
 * What the documents say is true: their commands are run, their tables are compared with the code, and each sentence of
 * docs/mount.md has the test that it names.
 */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import {
	copyFileSync,
	existsSync,
	mkdirSync,
	readdirSync,
	readFileSync,
	symlinkSync,
	writeFileSync,
} from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { createProgram } from '../src/cli/main.js';
import * as errors from '../src/errors.js';
import type { SnapshotSet } from '../src/index/entry.js';
import { parseParameters } from '../src/profile/params.js';
import { snapshotNames } from '../src/snapshots/names.js';
import { duplicity, profile, putOnPath, type Sandbox, sandbox, tsdup } from './cli.js';
import { mount, requests } from './fixtures.js';
import { assertSameTree, describeTree } from './tree.js';

const ROOT = fileURLToPath(new URL('../../', import.meta.url));
const DOCUMENTS = ['README.md', ...readdirSync(join(ROOT, 'docs')).map((name) => `docs/${name}`)];
const PASSPHRASE = 'correct horse battery staple';

const box = sandbox();
const source = join(box.dir, 'source');
const target = join(box.dir, 'target');

after(() => box.remove());

function document(name: string): string {
	return readFileSync(join(ROOT, name), 'utf8');
}

/** The block of code after `<!-- test: NAME -->`. */
function block(file: string, name: string): string {
	const [, code] = document(file).split(`<!-- test: ${name} -->\n`);
	const found = /^```\w+\n(.*?)^```$/ms.exec(code ?? '')?.[1];
	assert.ok(found, `${file} has no block ${name}`);
	return found;
}

/** Cells of the table rows under a header row that begins with `begin`. */
function table(file: string, begin: string): string[][] {
	const lines = document(file).split('\n');
	const header = lines.findIndex((line) => line.startsWith(begin));
	assert.ok(header >= 0, `${file} has no table ${begin}`);
	const rows = lines.slice(header + 2);
	const end = rows.findIndex((line) => !line.startsWith('|'));
	return rows.slice(0, end).map((row) =>
		row
			.split('|')
			.map((cell) => cell.trim())
			.slice(1, -1),
	);
}

/** Lines that are indented by four blanks, and those in blocks. */
function codeLines(text: string): string[] {
	const blocks = [...text.matchAll(/^```\w*\n(.*?)^```$/gms)].flatMap(([, code]) =>
		(code as string).split('\n'),
	);
	return [...blocks, ...[...text.matchAll(/^ {4}(.*)$/gm)].map(([, line]) => line as string)];
}

/** A new folder with the passphrase in a file, as the documents have it. */
function workshop(name: string): string {
	const folder = join(box.dir, name);
	mkdirSync(folder);
	writeFileSync(join(folder, 'passphrase'), `${PASSPHRASE}\n`, { mode: 0o600 });
	return folder;
}

function shell(script: string, cwd: string, { env }: Sandbox = box): string {
	const { status, stdout, stderr } = spawnSync('bash', ['-euc', script], {
		cwd,
		env,
		maxBuffer: 2 ** 26,
		// With a socket as stdin bash takes itself for a remote shell and reads bashrc.
		stdio: ['ignore', 'pipe', 'pipe'],
	});
	assert.equal(status, 0, stderr.toString());
	return stdout.toString();
}

function change(script: string): void {
	shell(script, source);
}

async function backup(): Promise<void> {
	const { code, stderr } = await tsdup(['-q', 'backup', 'p'], box);
	assert.equal(code, 0, stderr);
}

/** Three sets, between which everything changes that a backup can tell: contents in pieces and in deltas, types, names. */
before(async () => {
	mkdirSync(source);
	profile(box, 'p', `SOURCE='${source}'\nTARGET='file://${target}'\nGPG_PW='${PASSPHRASE}'\n`);
	change(`
		mkdir -p folder/sub snapshot/deleted; echo a >folder/a; echo b >folder/sub/b; echo f >file; ln -s file link
		head -c 3500000 /dev/urandom >big; head -c 1500000 /dev/urandom >folder/snapshot; echo 1 >1; : >empty
		echo s >snapshot/deleted/x; echo l >$'l\\344tin'; touch -d 2001-02-03 snapshot file; chmod 4711 file`);
	await backup();
	copyFileSync(join(source, 'folder/snapshot'), join(box.dir, 'in-pieces'));
	change(`
		rm -r folder; echo 'now a file' >folder; rm file; mkdir file; echo inside >file/f; rm link; mkfifo link
		head -c 2600000 /dev/urandom >big; echo 22 >1; touch -d 2002-03-04 1; rm snapshot/deleted/x`);
	await backup();
	change(`
		echo again >folder; rm -r file; echo plain >file; chmod 600 $'l\\344tin'
		head -c 2000 /dev/urandom | dd of=big bs=1 seek=70000 conv=notrunc status=none`);
	await backup();
	// Runs within one second have set times ahead of the clock, and stock does not look into the future.
	await sleep(3000);
});

describe('without tsdup', () => {
	test('the commands in README.md unpack the full backup, with large files in pieces', () => {
		const folder = workshop('readme');
		for (const name of readdirSync(target)) copyFileSync(join(target, name), join(folder, name));
		shell(block('README.md', 'full-by-hand'), folder);
		assert.equal(readFileSync(join(folder, 'work/snapshot/folder/a'), 'utf8'), 'a\n');
		const pieces = join(folder, 'work/multivol_snapshot/folder/snapshot');
		const joined = Buffer.concat(['1', '2'].map((piece) => readFileSync(join(pieces, piece))));
		assert.ok(joined.equals(readFileSync(join(box.dir, 'in-pieces'))));
	});

	test('the script in docs/recovery.md restores the newest snapshot with its metadata', () => {
		const folder = workshop('recovery');
		symlinkSync(target, join(folder, 'target'));
		shell(block('docs/recovery.md', 'recovery'), folder);
		const [restored, original] = [join(folder, 'restored'), source].map((root) =>
			describeTree(Buffer.from(root)),
		);
		assertSameTree(restored ?? [], original ?? [], 'what the script restored');
	});

	test('the duplicity command in README.md restores it', () => {
		const restored = join(box.dir, 'by-duplicity');
		const command = /^ {4}(PASSPHRASE=.* duplicity restore file:.*)$/m.exec(document('README.md'))?.[1] ?? '';
		shell(command.replace('/home/me/disk/backup', target).replace('/tmp/all', restored), box.dir);
		const [found, original] = [restored, source].map((root) => describeTree(Buffer.from(root)));
		assertSameTree(found ?? [], original ?? [], 'what duplicity restored', { symlinkTimes: false });
	});

	test('the reader in docs/format.md reads files in pieces, in deltas and in old volumes', () => {
		const folder = workshop('reader');
		writeFileSync(join(folder, 'reader.py'), block('docs/format.md', 'reader'));
		const read = (path: string) =>
			spawnSync('python3', ['reader.py', target, 'passphrase', path], {
				cwd: folder,
				env: box.env,
				maxBuffer: 2 ** 26,
			});
		for (const path of ['big', 'folder', 'file', '1', 'empty']) {
			const { status, stdout, stderr } = read(path);
			assert.equal(status, 0, stderr.toString());
			assert.ok(stdout.equals(readFileSync(join(source, path))), path);
		}
		assert.equal(read('folder/a').status, 1);
	});

	test('the worked example in docs/format.md works', () => {
		const folder = workshop('example');
		shell(block('docs/format.md', 'example-volume'), folder);
		const list = shell(block('docs/format.md', 'example-gpg'), folder);
		for (const line of list.trim().split('\n'))
			assert.ok(document('docs/format.md').includes(`    ${line}\n`), line);
		const code = block('docs/format.md', 'example-frame');
		const said = shell(code, folder).trim().split('\n');
		assert.deepEqual(said, [
			'10e1920e659c1954705ca0570d26f785',
			'cbff0000280662000000' + '0000',
			'98J8Ho5XvTIizPZnguorZT41ghYcXXcAB1RyIl36xUw=',
			'hello, world',
		]);
		assert.ok([said[0], said[2], said[3]].every((line) => code.includes(line as string)));
	});
});

describe('what duplicity wrote', () => {
	const other = sandbox();
	const home = other.env.HOME as string;
	const disk = join(home, 'disk');
	other.env.TSDUP_TRACE = join(other.dir, 'trace');
	after(() => other.remove());

	/** The block's commands in a folder of their own, after them `then`. */
	function follow(name: string, then = ':'): string {
		const folder = join(home, name);
		mkdirSync(folder);
		return shell(
			`${block('docs/duplicity.md', name).replace('/home/me/disk', disk)}\n${then}`,
			folder,
			other,
		);
	}

	function tracedNames(): string[] {
		return requests(other).flatMap(({ name }) => name ?? []);
	}

	/** As Debian's duply has it: two backups; a file too large for one volume. */
	before(async () => {
		putOnPath(other);
		mkdirSync(join(home, '.duply/home'), { recursive: true, mode: 0o700 });
		const conf = `GPG_PW='${PASSPHRASE}'\nTARGET='file://${disk}'\nSOURCE='${home}/Documents'\nDUPL_PARAMS='--volsize 1'\n`;
		writeFileSync(join(home, '.duply/home/conf'), conf, { mode: 0o600 });
		shell(
			`mkdir -p disk Documents/letters; echo 'Dear Ada' >Documents/letters/ada.txt
			head -c 1500000 /dev/urandom >Documents/film; duply home backup; sleep 1.1
			echo 'once more' >>Documents/letters/ada.txt; duply home incr`,
			home,
			other,
		);
	});

	test('the commands in docs/duplicity.md mount it by its profile', () => {
		follow('by-profile');
		assert.equal(readFileSync(join(home, 'by-profile/ada.txt'), 'utf8'), 'Dear Ada\nonce more\n');
	});

	test('the commands in docs/duplicity.md mount it by its URL', () => {
		const said = follow('by-url', 'cat snapshots/latest/letters/ada.txt; tsdup umount snapshots');
		assert.match(said, /^Dear Ada\nonce more$/m);
	});

	test('after index build no size has to be waited for', async () => {
		shell('rm -r "$XDG_CACHE_HOME/tsdup"; tsdup index build home', home, other);
		const known = tracedNames().length;
		const mounted = await mount(other, '-p', 'home');
		const sizes = shell(`stat -c %s latest/film latest/letters/ada.txt`, mounted.at, other);
		assert.equal(sizes, '1500000\n19\n');
		assert.deepEqual(tracedNames().slice(known), []);
		await mounted.umount();
	});

	test('the commands in docs/duplicity.md continue it, in turns', async () => {
		for (const command of block('docs/duplicity.md', 'going-on').trim().split('\n')) {
			// Times of sets are whole seconds.
			await sleep(1100);
			shell(`echo '${command}' >>Documents/letters/ada.txt; ${command}`, home, other);
		}
		assert.match(shell('duply home verify --compare-data', home, other), /Verify complete.* 0 differences/);
		assert.match(shell('tsdup status home', home, other), /1 chain, 5 sets/);
		const mounted = await mount(other, '-p', 'home');
		shell(`diff -r Documents ${mounted.at}/latest/`, home, other);
		await mounted.umount();
	});

	test('a plain set is shown by its URL, and never in a profile with encryption', async () => {
		const url = `file://${join(box.dir, 'plain')}`;
		const { code, stderr } = await duplicity(['--no-encryption', source, url], box);
		assert.equal(code, 0, stderr);
		const conf = `SOURCE='${source}'\nTARGET='${url}'\nGPG_PW='${PASSPHRASE}'\n`;
		profile(box, 'encrypted', conf);
		for (const options of [
			['-p', 'encrypted'],
			['--target', url],
			['-p', 'encrypted'],
		]) {
			const mounted = await mount(box, ...options);
			const isRefused = options[0] === '-p';
			assert.equal(/warning: .* cannot be shown: it is not encrypted/.test(mounted.stderr), isRefused);
			assert.equal(readdirSync(mounted.at).length, isRefused ? 0 : 2);
			await mounted.umount();
		}
	});
});

describe('the tables', () => {
	const { WARNED, ...errorClasses } = errors;
	const classes = Object.values(errorClasses).map((ErrorClass) => new ErrorClass(''));

	test('of errors in docs/errors.md are those of src/errors.ts', () => {
		const rows = table('docs/errors.md', '| class').filter(([name]) => !name?.startsWith('('));
		const documented = rows.map(([name, code, exit]) => `${name} ${code} ${exit}`.replaceAll('`', ''));
		assert.deepEqual(
			documented.sort(),
			classes.map((error) => `${error.name} ${error.code} ${error.exit}`).sort(),
		);
	});

	test('of exit codes in README.md and --help are all there are', async () => {
		const codes = [...new Set([0, WARNED, ...classes.map(({ exit }) => exit)])].sort().map(String);
		assert.deepEqual(
			table('README.md', '| code').map(([code]) => code),
			codes,
		);
		const { stdout } = await tsdup(['--help'], box);
		const [, help = ''] = stdout.split('Exit codes:\n');
		assert.deepEqual(
			[...help.matchAll(/^ {2}(\d) /gm)].map(([, code]) => code),
			codes,
		);
	});

	test('of environment variables in docs/files.md are what src/ reads', () => {
		const code = sources()
			.map((path) => readFileSync(path, 'utf8'))
			.join('');
		const read = new Set(
			[...code.matchAll(/process\.env\.([A-Z_]+)(?! \?\?=)\b/g)].map(([, name]) => name as string),
		);
		// Set for the SDK, not read; and Node reads this one.
		read.delete('AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED');
		read.add('HOME');
		const documented = table('docs/files.md', '| variable').map(([name]) => (name ?? '').replaceAll('`', ''));
		assert.deepEqual(documented.sort(), [...read].sort());
	});

	test('of layers in docs/design.md are the folders of src/, and the linter holds each', () => {
		const diagram = /\n {4}cli (.*?)\n\n/s.exec(document('docs/design.md'))?.[0] ?? '';
		const lint = document('biome.json');
		for (const entry of readdirSync(join(ROOT, 'src'), { withFileTypes: true })) {
			if (!entry.isDirectory()) continue;
			assert.match(diagram, new RegExp(`\\b${entry.name}\\b`));
			if (entry.name !== 'cli') assert.ok(lint.includes(`src/${entry.name}/**`), entry.name);
		}
	});
});

describe('what is named', () => {
	test('in a line of code, a command of tsdup with its options, exists', async () => {
		const program = await createProgram();
		const everywhere = program.helpInformation();
		const lines = DOCUMENTS.flatMap((name) => codeLines(document(name)));
		const calls = lines.flatMap((line) => {
			const [, words] = /^(?:\$ )?(?:[A-Z_]+=(?:'.*?'|\S+) )*tsdup (.*)$/.exec(line) ?? [];
			// What follows many blanks is a remark, what is in quotes an argument.
			return words ? [words.replace(/ {3}.*/, '').replaceAll(/'[^']*'|"[^"]*"/g, 'X')] : [];
		});
		assert.ok(calls.length > 30);
		for (const call of calls) {
			const [, name] = /(?:^| )(?!-)([a-z]+)/.exec(call) ?? [];
			const command = program.commands.find((each) => each.name() === name);
			assert.ok(command, call);
			for (const [, option = ''] of call.matchAll(/(?:^| )(--[a-z-]+)/g))
				assert.ok(command.helpInformation().includes(option) || everywhere.includes(option), call);
		}
	});

	test('in docs/files.md, an option of duplicity, is honoured', () => {
		const [, text = ''] =
			/Options that tsdup honours:(.*?)One that only/s.exec(document('docs/files.md')) ?? [];
		const options = [...text.matchAll(/`(--[a-z0-9-]+)`/g)].map(([, option]) => option as string);
		assert.ok(options.length > 10);
		for (const option of options) {
			const words = [option, '1'].map((word) => Buffer.from(word));
			const flag = /no-encryption|unencrypted|device-files|other-filesystems|-filenames/.test(option);
			assert.deepEqual(parseParameters(flag ? words.slice(0, 1) : words).warnings, [], option);
		}
	});

	test('in a link, a file, exists', () => {
		for (const name of DOCUMENTS) {
			for (const [, link] of document(name).matchAll(/\]\(([^)#:]+)\)/g)) {
				assert.ok(existsSync(join(ROOT, dirname(name), link as string)), `${name}: ${link}`);
			}
		}
	});

	test('in docs/mount.md, a test, exists, and every sentence names one', () => {
		const sentences = document('docs/mount.md')
			.split(/^(?=\d+\. )/m)
			.slice(1);
		sentences.forEach((sentence, i) => {
			assert.ok(sentence.startsWith(`${i + 1}. `), `the number of ${sentence}`);
			const named = [...sentence.replaceAll(/\s+/g, ' ').matchAll(/\*([a-z0-9-]+): ([^*]+)\*/g)];
			assert.ok(named.length > 0, sentence);
			for (const [, file, title] of named) {
				const code = document(`test/${file}.test.ts`);
				assert.ok(code.includes(`'${title}'`), `${file} has no test '${title}'`);
			}
		});
	});
});

test('a mount tells the two hours apart in which clocks are put back', () => {
	const zone = process.env.TZ;
	process.env.TZ = 'Europe/Berlin';
	try {
		const sets = [1792888200, 1792891800].map((time) => ({ time }) as SnapshotSet);
		assert.deepEqual(
			snapshotNames(sets).map(({ name }) => name),
			['2026-10-25', '2026-10-25_02-30-00+0200', '2026-10-25_02-30-00+0100'],
		);
	} finally {
		if (zone === undefined) delete process.env.TZ;
		else process.env.TZ = zone;
	}
});

function sources(): string[] {
	const files = readdirSync(join(ROOT, 'src'), { recursive: true, withFileTypes: true });
	return files
		.filter((entry) => entry.isFile() && basename(entry.name).endsWith('.ts'))
		.map((entry) => join(entry.parentPath, entry.name));
}
