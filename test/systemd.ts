/** A real systemd, a user's, with a HOME and a runtime folder of its own: so it is there on machines that systemd did not start, too. */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, rmdirSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Sandbox } from './cli.js';

/** systemd's mark that it started the machine: without it the manager of a user does not begin, nor does systemctl. */
const BOOTED = '/run/systemd/system';

export class Systemd {
	readonly env: NodeJS.ProcessEnv;
	readonly #manager: ChildProcess;
	readonly #made: boolean;

	private constructor(env: NodeJS.ProcessEnv, manager: ChildProcess, made: boolean) {
		this.env = env;
		this.#manager = manager;
		this.#made = made;
	}

	static async start({ dir, env }: Sandbox): Promise<Systemd> {
		const made = !existsSync(BOOTED);
		mkdirSync(BOOTED, { recursive: true });
		const runtime = join(dir, 'runtime');
		mkdirSync(runtime, { mode: 0o700 });
		const all = { ...env, XDG_RUNTIME_DIR: runtime };
		const manager = spawn('/lib/systemd/systemd', ['--user'], { env: all, stdio: 'ignore' });
		const systemd = new Systemd(all, manager, made);
		for (let tries = 0; !/running|degraded/.test(systemd.ctl('is-system-running').stdout); tries++) {
			if (tries === 100 || manager.exitCode !== null) throw new Error('systemd does not start');
			await sleep(100);
		}
		return systemd;
	}

	/** `systemctl --user`. */
	ctl(...words: string[]): { code: number | null; stdout: string; stderr: string } {
		const { status, stdout, stderr } = spawnSync('systemctl', ['--user', ...words], {
			env: this.env,
			encoding: 'utf8',
			timeout: 120_000,
		});
		return { code: status, stdout, stderr };
	}

	/** A property of a unit. */
	show(unit: string, property: string): string {
		return this.ctl('show', '--value', '-p', property, unit).stdout.trim();
	}

	async stop(): Promise<void> {
		this.ctl('exit');
		for (let tries = 0; this.#manager.exitCode === null && tries < 100; tries++) await sleep(100);
		this.#manager.kill('SIGKILL');
		if (this.#made) rmdirSync(BOOTED);
	}
}
