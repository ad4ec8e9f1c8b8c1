/** The man pages and the completions of bash, zsh and fish: made of the commands there are, and taken by the real programs. */
import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { createProgram } from '../src/cli/main.js';
import { pages } from '../src/manual/prose.js';
import { profile, sandbox, tsdup } from './cli.js';

const MAN = fileURLToPath(new URL('../man/man1/', import.meta.url));

const box = sandbox();
after(() => box.remove());

const program = await createProgram();
const commands = program.commands.map((command) => command.name());

function help(name: string): string {
	return program.commands.find((command) => command.name() === name)?.helpInformation() ?? '';
}

describe('a man page', () => {
	test('exists for the program and for each command', () => {
		const expected = ['tsdup.1', ...commands.map((name) => `tsdup-${name}.1`)];
		assert.deepEqual(readdirSync(MAN).sort(), expected.sort());
	});

	test('has nothing that mandoc finds fault with', () => {
		for (const name of readdirSync(MAN)) {
			const { stdout } = spawnSync('mandoc', ['-T', 'lint', name], { cwd: MAN });
			assert.equal(stdout.toString(), '', name);
		}
	});

	test('shows by man -l each option that --help shows', () => {
		for (const command of commands) {
			const page = man(`tsdup-${command}.1`);
			const options = [...help(command).matchAll(/^ {2}(?:-\w, )?(--[a-z-]+)/gm)].map(([, option]) => option);
			for (const option of options) if (option !== '--help') assert.ok(page.includes(`${option}`), option);
			assert.match(page, new RegExp(`^ {7}tsdup ${command}\\b`, 'm'));
		}
		for (const command of commands) assert.ok(man('tsdup.1').includes(`tsdup-${command}(1)`));
	});

	test('names only pages of tsdup that exist', () => {
		for (const name of readdirSync(MAN)) {
			for (const [, page] of man(name).matchAll(/(tsdup-[a-z-]+)\(1\)/gi))
				assert.ok(existsSync(join(MAN, `${page?.toLowerCase()}.1`)), `${name}: ${page}`);
		}
	});

	test('has in its examples only commands and options that there are', () => {
		for (const [command, meaning] of Object.values(pages).flatMap(({ examples }) => examples ?? [])) {
			const words = /(?:^|<\()tsdup ([^)>]*)/.exec(command)?.[1]?.split(' ') ?? [];
			const name = words.find((word) => !word.startsWith('-')) ?? '';
			assert.ok(commands.includes(name), command);
			const options = help(name) + program.helpInformation();
			for (const option of words.filter((word) => word.startsWith('-')))
				assert.ok(options.includes(option), `${command}: ${option}`);
			assert.match(meaning, /\.$/);
		}
	});
});

const shown = new Map<string, string>();

function man(page: string): string {
	const env = { ...box.env, MANWIDTH: '200', LC_ALL: 'C.UTF-8' };
	const text =
		shown.get(page) ??
		execFileSync('man', ['-l', page], { cwd: MAN, env, stdio: ['ignore', 'pipe', 'pipe'] }).toString();
	shown.set(page, text);
	return text;
}

describe('completion', () => {
	const file = (shell: string) => join(box.dir, `tsdup.${shell}`);

	before(async () => {
		profile(box, 'home', '');
		// Hostile: what a folder is called must not be run.
		profile(box, '$(touch run)', '');
		mkdirSync(join(box.dir, 'work'));
		for (const shell of ['bash', 'zsh', 'fish']) {
			const { code, stdout } = await tsdup(['completion', shell], box);
			assert.equal(code, 0);
			writeFileSync(file(shell), stdout);
		}
	});

	/** Words typed, the last one to be completed, and what must be among the candidates. */
	const cases: [typed: string[], offered: string[]][] = [
		[['ba'], ['backup']],
		[['ho'], []],
		[['backup', '--in'], ['--incremental']],
		[['backup', 'ho'], ['home']],
		[
			['-q', 'status', ''],
			['home', '$(touch run)'],
		],
		[
			['index', ''],
			['build', 'rebuild'],
		],
		[['index', 'rebuild', 'h'], ['home']],
		[['mount', '-p', 'h'], ['home']],
		[['mount', '--driver', 'fuse-'], ['fuse-native']],
		[['restore', 'home', '/dev/null', '7'], ['7D']],
		[['mount', `${box.dir}/wo`], [`${box.dir}/work`]],
	];

	test('in bash offers commands, options, profiles, folders and times', () => {
		for (const [typed, offered] of cases) {
			const script =
				// biome-ignore lint/suspicious/noTemplateCurlyInString: it is bash's
				'source "$0"; COMP_WORDS=(tsdup "$@"); COMP_CWORD=$#; _tsdup; [[ -v COMPREPLY ]] && printf "%s\\n" "${COMPREPLY[@]}"; :';
			const { stdout, stderr } = spawnSync('bash', ['--norc', '-c', script, file('bash'), ...typed], {
				env: box.env,
				cwd: box.dir,
			});
			assert.equal(stderr.toString(), '');
			assert.deepEqual(
				stdout.toString().split('\n').filter(Boolean).sort(),
				[...offered].sort(),
				typed.join(' '),
			);
		}
		assert.ok(!existsSync(join(box.dir, 'run')));
	});

	test('in fish offers them, with what they mean', () => {
		for (const [typed, offered] of cases) {
			const script = `source ${file('fish')}; complete -C 'tsdup ${typed.join(' ')}'`;
			const { stdout, stderr } = spawnSync('fish', ['--no-config', '-c', script], {
				env: box.env,
				cwd: box.dir,
			});
			assert.equal(stderr.toString(), '');
			const lines = stdout.toString().split('\n').filter(Boolean);
			const found = lines.map((line) => line.split('\t')[0]?.replace(/\/$/, ''));
			assert.deepEqual(found.sort(), [...offered].sort(), typed.join(' '));
			if (offered.includes('backup')) assert.match(stdout.toString(), /backup\tback up/);
		}
	});

	test('in zsh completes what is typed at the prompt', () => {
		const said = join(box.dir, 'said');
		const typed = [
			'autoload -Uz compinit; compinit -u -D; zstyle ":completion:*" insert-tab false',
			`source ${file('zsh')}; tsdup() { print -r -- "$*" >>${said} }`,
			'tsdup bac\tho\t',
			'tsdup backup --inc\tho\t',
			'tsdup index reb\tho\t',
			'tsdup mount -p ho\t--dri\tfuse-\t',
			'tsdup -q restore home /dev/null 7\t',
			`tsdup mount ${box.dir}/wo\t`,
			'exit',
		];
		execFileSync('script', ['-qec', 'zsh -f -i', '/dev/null'], {
			input: typed.map((line) => `${line}\n`).join(''),
			env: { ...box.env, TERM: 'dumb' },
			cwd: box.dir,
			stdio: ['pipe', 'ignore', 'ignore'],
		});
		assert.deepEqual(readFileSync(said, 'utf8').split('\n'), [
			'backup home',
			'backup --incremental home',
			'index rebuild home',
			'mount -p home --driver fuse-native',
			'-q restore home /dev/null 7D',
			`mount ${box.dir}/work`,
			'',
		]);
	});
});
