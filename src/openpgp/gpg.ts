/**
 * The user's GnuPG, for the keys that only it has: its keyring, its agent, smartcards. Each call runs one process in
 * batch mode; GNUPGHOME comes from the environment. Passphrases go through a descriptor, never through arguments.
 */
import { spawn } from 'node:child_process';
import type { Duplex, Writable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { KeyError, TsdupError } from '../errors.js';
import { passphraseOctets } from './s2k.js';
import type { SessionKey } from './session-key.js';

/**
 * An encrypted packet (SEIPD version 1) too short to be one. gpg 2.2 and 2.4 find the session key as soon as encrypted data
 * begins, report it, and only then find that this is none; so the volume itself never has to go through gpg.
 */
const STUB = Buffer.concat([Buffer.from([0xd2, 41, 1]), Buffer.alloc(40)]);

export class Gpg {
	readonly #binary: string;
	readonly #options: readonly string[];

	/** `options` stand before all others on every command line, e.g. the profile's `--homedir`. */
	constructor(binary = 'gpg', options: readonly string[] = []) {
		this.#binary = binary;
		this.#options = options;
	}

	/** The public keys that gpg finds for an id, binary; empty when it has none. @throws TsdupError when gpg cannot run */
	async exportPublic(id: string): Promise<Buffer> {
		const { stdout } = await this.#run(['--export', '--', id], Buffer.alloc(0));
		return stdout;
	}

	/**
	 * The session key that the PKESK packets in `header` hold. Without a passphrase the agent may ask a person for one, and
	 * this waits as long as the agent does.
	 * @throws KeyError with gpg's reason, TsdupError when gpg cannot run
	 */
	async sessionKey(header: Buffer, passphrase?: string): Promise<SessionKey> {
		const args = ['--show-session-key', '--decrypt'];
		const { status, stderr } = await this.#run(args, Buffer.concat([header, STUB]), passphrase);
		const found = /^\[GNUPG:\] SESSION_KEY (\d+):([0-9A-F]+)$/im.exec(status);
		if (found?.[1] === undefined || found[2] === undefined) {
			throw new KeyError(`GnuPG has no key that opens this message: ${lastLine(stderr)}`);
		}
		return { algorithm: Number(found[1]), key: Buffer.from(found[2], 'hex') };
	}

	/** `stderr` must not be shown when a session key was found: gpg writes it there too. */
	async #run(
		args: readonly string[],
		input: Buffer,
		passphrase?: string,
	): Promise<{ stdout: Buffer; stderr: string; status: string }> {
		const secret = passphrase === undefined ? [] : ['--pinentry-mode', 'loopback', '--passphrase-fd', '4'];
		const child = spawn(
			this.#binary,
			[...this.#options, '--batch', '--no-tty', '--status-fd', '3', ...secret, ...args],
			{ stdio: ['pipe', 'pipe', 'pipe', 'pipe', 'pipe'] },
		);
		const ended = new Promise<void>((resolve, reject) => {
			child.once('error', (cause) => {
				reject(new TsdupError(`Cannot run ${this.#binary}: ${cause.message}. Install GnuPG.`, { cause }));
			});
			child.once('close', () => resolve());
		});
		// Node makes a two-way socket of every pipe above 2, which its types cannot say.
		const [status, secretIn] = child.stdio.slice(3) as [Duplex, Duplex];
		feed(child.stdin, input);
		feed(secretIn, passphrase === undefined ? Buffer.alloc(0) : passphraseOctets(passphrase));
		const output = Promise.all([buffer(child.stdout), buffer(child.stderr), buffer(status)]);
		// When gpg cannot be started its pipes fail as well, with less to say.
		output.catch(() => {});
		await ended;
		const [stdout, stderr, lines] = await output;
		return { stdout, stderr: stderr.toString(), status: lines.toString() };
	}
}

/** gpg may exit before it has read everything; what matters is then in its own words, not in the broken pipe. */
function feed(pipe: Writable, bytes: Buffer): void {
	pipe.on('error', () => {});
	pipe.end(bytes);
}

function lastLine(text: string): string {
	return text.trim().split('\n').at(-1) ?? '';
}
