/** Scripts and batches: beside duply itself, on the same profile. */
import assert from 'node:assert/strict';
import { chmodSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import fc from 'fast-check';
import { UsageError } from '../src/errors.js';
import { parseBatch, runBatch, wordsOf } from '../src/profile/batch.js';
import { type Ended, profile, duply as runDuply, sandbox, tsdup } from './cli.js';

const box = sandbox();
const source = join(box.dir, 'source');
const target = join(box.dir, 'target');
const log = join(box.dir, 'log');
const outcomes = join(box.dir, 'outcomes');
let dir: string;

before(() => {
	mkdirSync(source);
	writeFileSync(join(source, 'file'), 'content');
	dir = profile(
		box,
		'p',
		`TARGET='file://${target}'\nSOURCE='${source}'\nGPG_KEY=disabled\nGPG_PW='of no use'\nown='of the conf'\nexport EXPORTED=yes\n`,
	);
});
after(() => box.remove());

/** @param script bash; `$1` in it is nothing */
function write(name: 'pre' | 'post', script: string, mode = 0o700): void {
	writeFileSync(join(dir, name), `#!/bin/bash\n${script}\n`);
	chmodSync(join(dir, name), mode);
}

/** Both log their name and end with the next of `codes`; 0 when there are no more. */
function logScripts(codes: readonly number[]): void {
	rmSync(log, { force: true });
	writeFileSync(outcomes, codes.map((code) => `${code}\n`).join(''));
	for (const name of ['pre', 'post'] as const)
		write(name, `echo ${name} >>'${log}'; read -r code <'${outcomes}'; sed -i 1d '${outcomes}'; exit $code`);
}

function logged(): string[] {
	return existsSync(log) ? readFileSync(log, 'utf8').split('\n').filter(Boolean) : [];
}

function duply(...args: string[]): Promise<Ended> {
	return runDuply([dir, ...args], box);
}

describe('batches', () => {
	/** What duply 2.4.1 ran, with the exit codes of each. */
	const recorded = [
		['pre_and_post_or_pre', [0, 0], ['pre', 'post']],
		['pre-post+pre', [0, 0], ['pre', 'pre']],
		['pre+post-pre', [1, 0], ['pre', 'pre']],
		['pre+post_or_groupIn_pre_post_groupOut_pre', [0, 1, 0, 0, 0], ['pre', 'post', 'pre', 'post', 'pre']],
	] as const;
	/** What its manual says; 2.4.1 takes brackets at the ends of batches only. */
	const documented = [
		['pre+[bkp-verify]_post', [0, 1, 0, 0], ['pre', 'bkp', 'verify', 'post']],
		['pre+[bkp-verify]_post', [1, 0], ['pre', 'post']],
		['pre and groupIn bkp or verify groupOut post', [0, 0, 0], ['pre', 'bkp', 'post']],
		['[a_b]-[c+d]_e', [0, 5, 5, 0], ['a', 'b', 'c', 'e']],
		['a+[[b-c]+d]+e', [1], ['a']],
		['backup_verify_purge', [1, 0, 1, 0, 0], ['pre', 'bkp', 'post', 'verify', 'purge']],
		['fail-backup', [0], ['fail']],
		['bkp+purge', [3, 0], ['bkp', 'purge']],
	] as const;
	for (const [batch, codes, expected] of [...recorded, ...documented]) {
		test(`${batch} with exit codes ${codes.join(', ')} runs ${expected.join(', ')}`, async () => {
			const ran: string[] = [];
			const steps = parseBatch(batch, (word) => (word === 'backup' ? ['pre', 'bkp', 'post'] : null));
			const ended = await runBatch(steps, async (word) => {
				ran.push(word);
				return codes[ran.length - 1] ?? 0;
			});
			assert.deepEqual(ran, expected);
			assert.deepEqual(ended, codes.slice(0, expected.length));
		});
	}

	test('a batch that cannot be read is refused before anything runs', async () => {
		for (const batch of ['', '_', '+pre', 'pre+', 'pre+-post', '[pre', 'pre]', '[]', 'pre[', '[pre+]']) {
			assert.throws(() => parseBatch(batch, () => null), UsageError, batch);
		}
		logScripts([]);
		for (const batch of ['pre_foo', 'pre_verifyPath', 'pre+']) {
			const { code } = await tsdup(['run', 'p', batch], box);
			assert.equal(code, 2);
		}
		assert.deepEqual(logged(), []);
	});

	test('each command learns its neighbours and the last exit code', async () => {
		const seen: string[] = [];
		const steps = parseBatch('a+[b-c]_d', () => null);
		await runBatch(steps, async (word, { previous, next, before, after, exit }) => {
			seen.push(`${word}: ${previous} ${before}> <${after} ${next} ${exit}`);
			return word === 'b' ? 7 : 0;
		});
		assert.deepEqual(seen, ['a: START > <and b null', 'b: a > <or c 0', 'c: b or> < d 7', 'd: c > < END 0']);
	});

	test('any nesting of brackets runs what a plain reading of the rules says', async () => {
		const { step } = fc.letrec<{ step: Plain }>((tie) => ({
			step: fc.record({
				mark: fc.constantFrom('_', '+', '-'),
				body: fc.oneof(
					{ maxDepth: 3 },
					fc.constant('x'),
					fc.array(tie('step'), { minLength: 1, maxLength: 4 }),
				),
			}),
		}));
		await fc.assert(
			fc.asyncProperty(
				fc.array(step, { minLength: 1, maxLength: 5 }),
				fc.infiniteStream(fc.nat(1)),
				async (plain, stream) => {
					const codes = [...stream.take(200)];
					const text = spell(plain);
					let ran = 0;
					const ended = await runBatch(
						parseBatch(text, () => null),
						async () => codes[ran++] as number,
					);
					assert.deepEqual(ended, meant(plain, codes), text);
					assert.equal(wordsOf(parseBatch(text, () => null)).length, (text.match(/x/g) ?? []).length);
				},
			),
			{ seed: 3, numRuns: 200 },
		);
	});

	test('duply runs the same scripts in the same order, and fails when tsdup does', {
		timeout: 600_000,
	}, async () => {
		for (const [batch, codes] of [
			['pre_or_post_and_groupIn_pre_or_post_groupOut_post', [0, 1, 0]],
			['pre+post-pre', [1, 0]],
		] as const) {
			logScripts(codes);
			const theirs = await duply(batch);
			const order = logged();
			assert.ok(order.length > 0, theirs.stdout);
			logScripts(codes);
			const ours = await tsdup(['run', 'p', batch], box);
			assert.deepEqual(logged(), order, batch);
			assert.equal(ours.code !== 0, theirs.code !== 0, batch);
		}
	});

	test('the exit code is that of the first command that failed', async () => {
		logScripts([0, 9, 4]);
		const { code, stderr } = await tsdup(['run', 'p', 'pre_post_pre'], box);
		assert.equal(code, 9, stderr);
		assert.match(stderr, /post failed with exit code 9/);
	});
});

interface Plain {
	readonly mark: string;
	readonly body: 'x' | readonly Plain[];
}

function spell(steps: readonly Plain[]): string {
	return steps
		.map(({ mark, body }, i) => (i === 0 ? '' : mark) + (body === 'x' ? 'x' : `[${spell(body)}]`))
		.join('');
}

function meant(steps: readonly Plain[], codes: readonly number[]): number[] {
	const ran: number[] = [];
	const run = (list: readonly Plain[]) => {
		list.forEach(({ mark, body }, i) => {
			const ok = (ran.at(-1) ?? 0) === 0;
			if (i > 0 && ((mark === '+' && !ok) || (mark === '-' && ok))) return;
			if (body === 'x') ran.push(codes[ran.length] as number);
			else run(body);
		});
	};
	run(steps);
	return ran;
}

describe('pre and post', () => {
	const variables = /^(PROFILE|CONFDIR|SOURCE|TARGET_URL_\w+|GPG_\w+|EXPORTED|CMD_NEXT|CND_\w+)=/;

	test('a backup runs them before and after it, with what duply exports', { timeout: 300_000 }, async () => {
		const seen = join(box.dir, 'seen');
		const environment = () =>
			readFileSync(seen, 'utf8')
				.split('\n')
				.filter((line) => variables.test(line) && !/^CND_\w+=$/.test(line))
				.sort();
		write('pre', `env >'${seen}'`);
		write('post', 'true');
		assert.equal((await duply('pre')).code, 0);
		const theirs = environment();
		const { code, stderr } = await tsdup(['run', 'p', 'pre'], box);
		assert.equal(code, 0, stderr);
		assert.deepEqual(environment(), theirs);

		write('pre', `[ ! -e '${target}' ] && echo "$CMD_PREV $CMD_NEXT" >'${seen}'; echo to the log`);
		write(
			'post',
			`ls '${target}' | grep -c manifest >>'${seen}'; echo "$CMD_PREV $CMD_NEXT $CMD_ERR $own" >>'${seen}'`,
			0o600,
		);
		const backup = await tsdup(['backup', 'p'], box);
		assert.equal(backup.code, 0, backup.stderr);
		assert.match(backup.stderr, /to the log/);
		assert.equal(readFileSync(seen, 'utf8'), 'START bkp\n1\nbkp END 0 of the conf\n');
	});

	test('whatever pre ends with the backup is made, and post runs after one that failed; the exit code tells', async () => {
		write('pre', 'exit 3');
		write('post', `echo "$CMD_ERR" >'${log}'`);
		const manifests = () => readdirSync(target).filter((name) => name.includes('manifest')).length;
		const before = manifests();
		const failed = await tsdup(['backup', 'p'], box);
		assert.equal(failed.code, 1);
		assert.match(failed.stderr, /pre \(exit code 3\) of the profile p failed; the backup itself is complete/);
		assert.equal(manifests(), before + 1);
		assert.deepEqual(logged(), ['0']);

		write('pre', `mv '${source}' '${source}.away'`);
		write('post', `mv '${source}.away' '${source}'; echo "$CMD_ERR" >'${log}'`);
		const none = await tsdup(['backup', 'p'], box);
		assert.equal(none.code, 1, none.stderr);
		assert.match(none.stderr, /source .* cannot be read/);
		assert.deepEqual(logged(), ['1']);
	});

	test('neither --dry-run nor --no-scripts nor the word bkp runs them', async () => {
		logScripts([]);
		for (const args of [
			['backup', 'p', '--dry-run'],
			['backup', 'p', '--no-scripts'],
			['run', 'p', 'bkp_status'],
		]) {
			const { code, stderr } = await tsdup(args, box);
			assert.equal(code, 0, stderr);
		}
		assert.deepEqual(logged(), []);
		const { code } = await tsdup(['run', 'p', 'backup+list'], box);
		assert.equal(code, 0);
		assert.deepEqual(logged(), ['pre', 'post']);
	});

	test('who puts the profile first, as for duply, is told how it goes', async () => {
		const { code, stderr } = await tsdup(['p', 'backup_verify'], box);
		assert.equal(code, 2);
		assert.match(stderr, /tsdup run p backup_verify/);
	});
});
