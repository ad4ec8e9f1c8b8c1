/**
 * The user's GnuPG, for the keys that only it has: its keyring, its agent, smartcards; and for the ciphers and BZIP2, which
 * this process lacks. Each call runs one process in batch mode; GNUPGHOME comes from the environment. Passphrases go
 * through a descriptor, never through arguments.
 */
import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process';
import type { Duplex, Writable } from 'node:stream';
import { buffer, text } from 'node:stream/consumers';
import { pipeline } from 'node:stream/promises';
import { DamageError, KeyError, TsdupError, UnsupportedError } from '../errors.js';
import { passphraseOctets } from './s2k.js';
import type { SessionKey } from './session-key.js';

/**
 * An encrypted packet (SEIPD version 1) too short to be one. gpg 2.2 and 2.4 find the session key as soon as encrypted data
 * begins, report it, and only then find that this is none; so the volume itself need not go through gpg for that.
 */
const STUB = Buffer.concat([Buffer.from([0xd2, 41, 1]), Buffer.alloc(40)]);

/** How a message is encrypted that GnuPG shall decrypt. */
export interface Encryption {
	/** Of the message's one passphrase packet. */
	readonly passphrase: string;
	/** OpenPGP id of the message's cipher. */
	readonly cipher: number;
	/** False: let data pass that has no MDC. */
	readonly authenticated: boolean;
}

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
		const { stdout } = await this.run(['--export', '--', id], Buffer.alloc(0));
		return stdout;
	}

	/**
	 * The session key that the PKESK and SKESK packets in `header` hold. Without a passphrase the agent may ask a person for one, and
	 * this waits as long as the agent does.
	 * @throws KeyError with gpg's reason, TsdupError when gpg cannot run
	 */
	async sessionKey(header: Buffer, passphrase?: string): Promise<SessionKey> {
		const args = ['--show-session-key', '--decrypt'];
		const { status, stderr } = await this.run(args, Buffer.concat([header, STUB]), passphrase);
		const found = /^\[GNUPG:\] SESSION_KEY (\d+):([0-9A-F]+)$/im.exec(status);
		if (found?.[1] === undefined || found[2] === undefined) {
			throw new KeyError(`GnuPG has no key that opens this message: ${failures(stderr)}`);
		}
		return { algorithm: Number(found[1]), key: Buffer.from(found[2], 'hex') };
	}

	/**
	 * The literal content, as a stream, of a message that is encrypted, or else only compressed. Signatures are not checked.
	 * @throws DamageError with GnuPG's reason when it is not content that it has, UnsupportedError when it does not know the
	 * cipher, TsdupError when it cannot run; and what `message` throws
	 */
	async *content(
		message: AsyncIterable<Buffer>,
		encryption?: Encryption,
	): AsyncGenerator<Buffer, void, void> {
		const args = [
			...(encryption?.authenticated === false ? ['--ignore-mdc-error'] : []),
			'--no-keyring',
			'--skip-verify',
			'--decrypt',
		];
		const { child, ended, stderr, status } = this.start(args, encryption?.passphrase);
		const fed = feedAll(child.stdin, message);
		fed.catch(() => {});
		try {
			yield* child.stdout;
			const [code, wasRead] = await Promise.all([ended, fed]);
			// The exit code is what counts: gpg 2.2 reports DECRYPTION_OKAY also for AEAD data whose tag is wrong.
			if (code !== 0 || !wasRead) throw refusal(code, await status, await stderr, encryption?.cipher);
		} finally {
			child.kill('SIGKILL');
			child.stdin.destroy();
		}
	}

	/**
	 * One run of gpg, whatever it ends with: exit code (null after a signal) and outputs.
	 * `stderr` must not be shown when a session key was found: gpg writes it there too.
	 * @throws TsdupError when gpg cannot run
	 */
	async run(
		args: readonly string[],
		input: Buffer,
		passphrase?: string,
	): Promise<{ code: number | null; stdout: Buffer; stderr: string; status: string }> {
		const { child, ended, stderr, status } = this.start(args, passphrase);
		feed(child.stdin, input);
		const stdout = buffer(child.stdout);
		// When gpg cannot be started its pipes fail as well, with less to say.
		stdout.catch(() => {});
		return { code: await ended, stdout: await stdout, stderr: await stderr, status: await status };
	}

	/** `ended` is the exit code, null after a signal. @throws TsdupError by `ended`, when gpg cannot run */
	start(args: readonly string[], passphrase: string | undefined): Started {
		const secret = passphrase === undefined ? [] : ['--pinentry-mode', 'loopback', '--passphrase-fd', '4'];
		const child = spawn(
			this.#binary,
			[...this.#options, '--batch', '--no-tty', '--status-fd', '3', ...secret, ...args],
			{ stdio: ['pipe', 'pipe', 'pipe', 'pipe', 'pipe'] },
		);
		const ended = new Promise<number | null>((resolve, reject) => {
			child.once('error', (cause) => {
				reject(new TsdupError(`Cannot run ${this.#binary}: ${cause.message}. Install GnuPG.`, { cause }));
			});
			child.once('close', resolve);
		});
		// Node makes a two-way socket of every pipe above 2, which its types cannot say.
		const [statusOut, secretIn] = child.stdio.slice(3) as [Duplex, Duplex];
		feed(secretIn, passphrase === undefined ? Buffer.alloc(0) : passphraseOctets(passphrase));
		const [stderr, status] = [text(child.stderr), text(statusOut)];
		for (const outcome of [ended, stderr, status]) outcome.catch(() => {});
		return { child, ended, stderr, status };
	}
}

export interface Started {
	readonly child: ChildProcessWithoutNullStreams;
	readonly ended: Promise<number | null>;
	readonly stderr: Promise<string>;
	readonly status: Promise<string>;
}

/** @returns whether gpg read all of it; if not, that is its complaint to make. @throws what `message` throws */
export async function feedAll(pipe: Writable, message: AsyncIterable<Buffer>): Promise<boolean> {
	let broken: { error: unknown } | undefined;
	const input = async function* () {
		try {
			yield* message;
		} catch (error) {
			broken = { error };
			throw error;
		}
	};
	const wasRead = await pipeline(input, pipe).then(
		() => true,
		() => false,
	);
	if (broken) throw broken.error;
	return wasRead;
}

/** gpg may exit before it has read everything; what matters is then in its own words, not in the broken pipe. */
function feed(pipe: Writable, bytes: Buffer): void {
	pipe.on('error', () => {});
	pipe.end(bytes);
}

/**
 * Of encrypted data gpg always reports something, unless it did not get that far. DECRYPTION_INFO names the cipher that it
 * uses: another one, or none, when it does not know that of the message.
 */
function refusal(
	code: number | null,
	status: string,
	stderr: string,
	cipher: number | undefined,
): TsdupError {
	if (code === null || (cipher !== undefined && status === '')) {
		return new TsdupError(`GnuPG failed${code === null ? ': it was killed' : `: ${lastLine(stderr)}`}`);
	}
	const used = /^\[GNUPG:\] DECRYPTION_INFO \d+ (\d+)/m.exec(status)?.[1];
	if (status.includes('[GNUPG:] BEGIN_DECRYPTION') && Number(used) !== cipher) {
		return new UnsupportedError(`GnuPG does not know cipher ${cipher} or its mode: ${lastLine(stderr)}`);
	}
	return new DamageError(`GnuPG cannot read the message: ${lastLine(stderr)}`);
}

/** All that went wrong: that a key could not be used stands before the last line, which says that there is none. */
function failures(stderr: string): string {
	const failed = stderr.split('\n').filter((line) => line.includes(' failed: '));
	return failed.length > 0 ? failed.join('; ') : lastLine(stderr);
}

export function lastLine(text: string): string {
	return text.trim().split('\n').at(-1) ?? '';
}
