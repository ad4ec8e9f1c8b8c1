/**
 * Runs programs. What they print goes to a log, whose end is shown when one fails; nothing here takes a failure for
 * a slow run.
 */
import { spawn } from 'node:child_process';
import { closeSync, openSync } from 'node:fs';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

export interface Command {
	readonly program: string;
	readonly args: readonly string[];
	/** The whole environment. */
	readonly env: NodeJS.ProcessEnv;
	readonly cwd?: string;
	/** A file that takes its standard output. */
	readonly stdout?: string;
}

export interface Cost {
	/** From start to end. */
	readonly seconds: number;
	/** User and system time of the program and all its children. */
	readonly cpuSeconds: number;
	/** Of the largest of its processes. */
	readonly peakBytes: number;
}

/** Characters of a failed program's output that are shown. */
const SHOWN = 2000;

/** Runs a command and measures it with GNU time. @throws Error when it does not end with exit code 0 */
export async function measure(command: Command): Promise<Cost> {
	const dir = await mkdtemp(join(tmpdir(), 'tsdup-bench-run-'));
	try {
		const report = join(dir, 'time');
		const timed = {
			...command,
			program: '/usr/bin/time',
			args: ['-f', '%U %S %M', '-o', report, command.program, ...command.args],
		};
		const started = performance.now();
		await execute(timed, join(dir, 'log'));
		const seconds = (performance.now() - started) / 1000;
		const line = (await readFile(report, 'utf8')).trimEnd().split('\n').at(-1) as string;
		const [user, system, kilobytes] = line.split(' ').map(Number) as [number, number, number];
		return { seconds, cpuSeconds: user + system, peakBytes: kilobytes * 1024 };
	} finally {
		await rm(dir, { recursive: true });
	}
}

/** Starts a program that goes on until `stop` is told; its output is thrown away. */
export function start({ program, args, env, cwd }: Command): { stop(): Promise<void> } {
	const child = spawn(program, args, { env, cwd, stdio: 'ignore' });
	const ended = new Promise<void>((resolve) => child.once('close', () => resolve()));
	return {
		stop: async () => {
			child.kill('SIGINT');
			await ended;
		},
	};
}

/** Runs a program that is not measured. @returns what it printed. @throws Error as `measure` */
export async function run(
	program: string,
	args: readonly string[],
	env: NodeJS.ProcessEnv = process.env,
): Promise<string> {
	const dir = await mkdtemp(join(tmpdir(), 'tsdup-bench-run-'));
	try {
		const stdout = join(dir, 'stdout');
		await execute({ program, args, env, stdout }, join(dir, 'log'));
		return await readFile(stdout, 'utf8');
	} finally {
		await rm(dir, { recursive: true });
	}
}

async function execute({ program, args, env, cwd, stdout }: Command, log: string): Promise<void> {
	const errors = openSync(log, 'a');
	const output = stdout === undefined ? errors : openSync(stdout, 'w');
	try {
		const child = spawn(program, args, { env, cwd, stdio: ['ignore', output, errors] });
		const code = await new Promise((resolve, reject) => {
			child.once('error', reject);
			child.once('exit', (code, signal) => resolve(code ?? signal));
		});
		if (code === 0) return;
		const said = (await readFile(log, 'utf8')).slice(-SHOWN);
		throw new Error(`${[program, ...args].join(' ')} ended with ${code}:\n${said}`);
	} finally {
		closeSync(errors);
		if (output !== errors) closeSync(output);
	}
}
