/**
 * The mount command's second process. The parent runs the same script again with `runInBackground` and ends
 * when the child says that it is ready, or with the child's own error; the child says so with `reportReady`
 * and `reportError`, which do nothing special in a process without such a parent.
 *
 * The child is given no secret in its arguments: what the environment holds it inherits.
 */
import { spawn } from 'node:child_process';
import { TsdupError } from '../errors.js';
import { openLog } from './log.js';

type Report = { ready: true } | { ready: false; message: string; code: string; exit: number };
type Message = Report | { progress: string };

/** Where it is shown how far the child is. */
export interface ProgressLine {
	progress(line: () => string): void;
	clear(): void;
}

/** What the child failed with, for the parent to print and to exit with. */
export class BackgroundError extends TsdupError {
	override readonly code: string;
	override readonly exit: number;

	constructor(message: string, code: string, exit: number) {
		super(message);
		this.code = code;
		this.exit = exit;
	}
}

/**
 * A mount has a small heap and much that is outside of it, which makes V8 collect often: with threads of its own for that it takes a
 * tenth more time, and the cores from whoever reads.
 */
const NODE_OPTIONS = ['--single-threaded-gc'];

/**
 * Runs `script` with `args` (which make it stay in the foreground) in a session of its own and returns when
 * it is ready. What it wrote to stderr until then is written to stderr here too; later lines are only in the
 * log. Throws `BackgroundError` with the child's code and exit code, `TsdupError` when it ended without a word.
 */
export async function runInBackground(
	script: string,
	args: readonly string[],
	shown: ProgressLine,
): Promise<void> {
	const log = await openLog();
	const child = spawn(process.execPath, [...process.execArgv, ...NODE_OPTIONS, script, ...args], {
		detached: true,
		stdio: ['ignore', 'ignore', log.handle.fd, 'ipc'],
	});
	// A terminal's Ctrl-C does not reach another session.
	const abandon = (signal: NodeJS.Signals) => {
		child.kill('SIGTERM');
		process.kill(process.pid, signal);
	};
	const signals = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;
	for (const signal of signals) process.once(signal, abandon);
	try {
		const report = await new Promise<Report>((resolve, reject) => {
			child.on('message', (message: Message) => {
				if ('progress' in message) shown.progress(() => message.progress);
				else resolve(message);
			});
			child.once('error', reject);
			child.once('exit', (code, signal) => {
				reject(
					new TsdupError(`the mount process ended (${signal ?? code}) before it was ready; see ${log.path}`),
				);
			});
		});
		if (!report.ready) throw new BackgroundError(report.message, report.code, report.exit);
	} finally {
		for (const signal of signals) process.off(signal, abandon);
		shown.clear();
		process.stderr.write(await log.written());
		await log.handle.close();
		if (child.connected) child.disconnect();
		child.unref();
	}
}

/** Has the parent show how far this process is. */
export function reportProgress(line: string): void {
	// Who started this one may be gone.
	if (process.connected) process.send?.({ progress: line }, () => {});
}

/** Lets the parent go, and the working directory. */
export async function reportReady(): Promise<void> {
	if (!(await send({ ready: true }))) return;
	process.chdir('/');
	if (process.connected) process.disconnect();
}

/** Hands `error` to the parent; false if there is none, so that the caller prints it. The process should then exit with the error's code. */
export async function reportError(error: Error): Promise<boolean> {
	const { code, exit } = error instanceof TsdupError ? error : new TsdupError(error.message);
	return send({ ready: false, message: error.message, code, exit });
}

function send(report: Report): Promise<boolean> {
	return new Promise((resolve) => {
		if (process.send === undefined || !process.connected) resolve(false);
		else process.send(report, (error: Error | null) => resolve(error === null));
	});
}
