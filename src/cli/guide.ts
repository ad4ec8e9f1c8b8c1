/** The questions of `tsdup create` at a terminal. What is typed as a secret is not shown; a passphrase that was made is, once. */
import { randomBytes } from 'node:crypto';
import { homedir } from 'node:os';
import { createInterface } from 'node:readline/promises';
import { Writable } from 'node:stream';
import { pathToFileURL } from 'node:url';
import { UsageError } from '../errors.js';
import type { Answers } from '../profile/template.js';
import { parseTargetUrl } from '../target/url.js';

/** Without those that are taken for one another; 32, so that each stands for five bits. */
const LETTERS = 'abcdefghijkmnpqrstuvwxyz23456789';

/** @throws UsageError when the terminal is closed before the last answer */
export async function askAnswers(): Promise<Answers> {
	let hidden = false;
	const terminal = new Writable({
		write(chunk, _encoding, done) {
			if (!hidden) process.stderr.write(chunk);
			done();
		},
	});
	const asker = createInterface({ input: process.stdin, output: terminal, terminal: true });
	const closed = new Promise<never>((_, reject) => {
		asker.once('close', () => reject(new UsageError('Nothing was made: not all questions were answered.')));
	});
	closed.catch(() => undefined);
	const ask = (question: string) => Promise.race([asker.question(question), closed]);
	const askHidden = async (question: string) => {
		process.stderr.write(question);
		hidden = true;
		try {
			return await ask('');
		} finally {
			hidden = false;
			process.stderr.write('\n');
		}
	};
	try {
		return await answers(ask, askHidden);
	} finally {
		asker.close();
	}
}

type Ask = (question: string) => Promise<string>;

async function answers(ask: Ask, askHidden: Ask): Promise<Answers> {
	const source = await until(ask, `What to back up [${homedir()}]: `, (text) => {
		const path = text || homedir();
		return path.startsWith('/') ? path : new Error('an absolute path, please');
	});
	const target = await until(ask, 'Where to (s3:///bucket/prefix, or a folder on another disk): ', (text) => {
		const url = text.startsWith('/') ? pathToFileURL(text).href : text;
		if (url === '') return new Error('a URL or an absolute path, please');
		parseTargetUrl(url);
		return url;
	});
	const s3 = parseTargetUrl(target).kind === 's3' ? await askS3(ask, askHidden) : {};
	return { source, target, ...s3, passphrase: await askPassphrase(askHidden) };
}

async function askS3(ask: Ask, askHidden: Ask): Promise<Partial<Answers>> {
	const endpoint = await until(
		ask,
		'Address of the S3 server, as https://s3.example.com [Amazon]: ',
		(text) =>
			text === '' || /^https?:\/\/[\w.:[\]-]+$/.test(text)
				? text
				: new Error('https://host or https://host:port, please'),
	);
	const known = process.env.AWS_REGION || 'eu-central-1';
	const region =
		endpoint !== ''
			? undefined
			: await until(ask, `Region of the bucket [${known}]: `, (text) =>
					/^[a-z0-9-]*$/.test(text) ? text || known : new Error('as eu-central-1, please'),
				);
	const infrequent = await until(
		ask,
		'Storage class, standard or ia (half the price, but reading costs) [standard]: ',
		(text) =>
			['', 'standard', 'ia'].includes(text.toLowerCase())
				? text.toLowerCase() === 'ia'
				: new Error('standard or ia, please'),
	);
	const accessKey = (await ask('Access key [as the AWS tools find it]: ')).trim();
	const secretKey = accessKey === '' ? '' : (await askHidden('Secret key (not shown): ')).trim();
	return {
		...(endpoint ? { endpoint } : {}),
		...(region ? { region } : {}),
		...(infrequent ? { storageClass: '--s3-use-ia' } : {}),
		...(accessKey ? { accessKey, secretKey } : {}),
	};
}

async function askPassphrase(askHidden: Ask): Promise<string> {
	for (;;) {
		const typed = await askHidden('Passphrase, twelve characters or more (not shown) [make one]: ');
		if (typed === '') {
			const made = madePassphrase();
			process.stderr.write(`The passphrase: ${made}\n`);
			return made;
		}
		if (typed.length >= 12 && typed === (await askHidden('Once more: '))) return typed;
		process.stderr.write(typed.length < 12 ? 'That is too short.\n' : 'They differ.\n');
	}
}

/** 25 letters, 125 bits. */
function madePassphrase(): string {
	const letters = [...randomBytes(25)].map((byte) => LETTERS[byte % 32]).join('');
	return letters.replaceAll(/.{5}(?=.)/g, '$&-');
}

/** Asks until `check` gives no error. */
async function until<T>(ask: Ask, question: string, check: (text: string) => T | Error): Promise<T> {
	for (;;) {
		const text = (await ask(question)).trim();
		try {
			const checked = check(text);
			if (!(checked instanceof Error)) return checked;
			process.stderr.write(`${checked.message}\n`);
		} catch (error) {
			if (!(error instanceof UsageError)) throw error;
			process.stderr.write(`${error.message}\n`);
		}
	}
}
