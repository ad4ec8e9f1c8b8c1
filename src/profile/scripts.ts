/**
 * The programs `pre` and `post` of a profile, run as duply runs them: what is executable as a program, anything else by bash,
 * which has sourced the conf. What they write goes to stderr.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { access, constants } from 'node:fs/promises';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout } from 'node:timers/promises';
import { TsdupError } from '../errors.js';
import type { Conf } from './conf.js';

export type ScriptName = 'pre' | 'post';

/** Where a script stands among commands: words of a batch (batch.ts). */
export interface Position {
	/** `START` without one. */
	readonly previous: string;
	/** `END` without one. */
	readonly next: string;
	/** The conditions before and after it: `and`, `or`, or nothing. */
	readonly before: string;
	readonly after: string;
	/** Exit code of the command before; null without one. */
	readonly exit: number | null;
}

/** Milliseconds to hear what a script said last, when something that it started keeps its output open. */
const LAST_WORDS = 1000;

/**
 * @param hear takes each line that the script writes, which stands on stderr as well
 * @returns its exit code, 128 + the number of a signal; null when the profile has no such script
 * @throws TsdupError when it cannot run
 */
export async function runScript(
	conf: Conf,
	name: ScriptName,
	position: Position,
	hear: ((line: string) => void) | null,
): Promise<number | null> {
	const script = join(conf.dir, name);
	if (!(await may(script, constants.F_OK))) return null;
	const executable = await may(script, constants.X_OK);
	const sourced = 'source "$1" >/dev/null 2>&1; source "$2"';
	const child = spawn(
		executable ? script : 'bash',
		executable ? [] : ['--noprofile', '--norc', '-c', sourced, script, join(conf.dir, 'conf'), script],
		{
			stdio: ['ignore', hear ? 'pipe' : 2, hear ? 'pipe' : 2],
			env: { ...process.env, ...conf.environment, ...variables(conf, position) },
		},
	);
	for (const stream of [child.stdout, child.stderr]) {
		if (!stream) continue;
		createInterface({ input: stream }).on('line', (line) => {
			process.stderr.write(`${line}\n`);
			hear?.(line);
		});
	}
	const closed = once(child, 'close').catch(() => {});
	const [code, signal] = (await once(child, 'exit').catch((cause: Error) => {
		throw new TsdupError(`${script} cannot be run: ${cause.message}`, { cause });
	})) as [number | null, NodeJS.Signals | null];
	await Promise.race([closed, setTimeout(LAST_WORDS, undefined, { ref: false })]);
	child.stdout?.destroy();
	child.stderr?.destroy();
	return code ?? (signal === 'SIGKILL' ? 137 : 143);
}

function variables(conf: Conf, position: Position): Record<string, string> {
	const { GPG_KEY, GPG_KEYS_ENC, GPG_KEY_SIGN, GPG_PW, TARGET_USER, TARGET_PASS } = conf.values;
	const [, protocol = '', user, password, path = ''] =
		/^([a-z0-9+.-]+:\/\/)(?:([^/:@]+)(?::([^@]*))?@)?(.*)$/is.exec(conf.target) ?? [];
	const keys = [GPG_KEY, GPG_KEYS_ENC].filter((list) => list && list.toLowerCase() !== 'disabled');
	const optional = {
		TARGET_URL_USER: TARGET_USER || decoded(user),
		TARGET_URL_PASS: TARGET_PASS || decoded(password),
		GPG_KEY_SIGN,
		GPG_PW,
		CMD_ERR: position.exit === null ? undefined : String(position.exit),
		// A SOURCE that is not UTF-8 has no form that fits here.
		SOURCE: conf.source?.toString(),
	};
	return {
		...Object.fromEntries(Object.entries(optional).filter(([, value]) => value !== undefined)),
		PROFILE: conf.name,
		CONFDIR: conf.dir,
		TARGET_URL_PROT: protocol,
		TARGET_URL_HOSTPATH: path,
		GPG_KEYS_ENC: keys
			.join(',')
			.split(/(?<!\\),\s*/)
			.join('\\n'),
		CMD_PREV: position.previous,
		CMD_NEXT: position.next,
		CND_PREV: position.before,
		CND_NEXT: position.after,
		RUN_START: `${Date.now()}000000`,
	};
}

function decoded(text: string | undefined): string | undefined {
	try {
		return text === undefined ? undefined : decodeURIComponent(text);
	} catch {
		return text;
	}
}

function may(path: string, how: number): Promise<boolean> {
	return access(path, how).then(
		() => true,
		() => false,
	);
}
