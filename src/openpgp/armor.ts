/**
 * ASCII armor (RFC 9580 6.2) as a stream: somebody whose gpg.conf says `armor` has a collection of such messages. The CRC
 * is not checked: what is inside has a better checksum.
 */
import { DamageError } from '../errors.js';

/** No line of a message in armor is longer; of a binary message nothing is looked at but the first octet. */
const MAX_LINE = 64 << 10;
const DASH = 0x2d;

/** The binary message: `chunks` as they are, unless they begin as armor does. @throws DamageError for broken armor */
export async function* dearmored(chunks: AsyncIterable<Buffer>): AsyncGenerator<Buffer, void, void> {
	let armor: Armor | null | undefined;
	for await (const chunk of chunks) {
		if (chunk.length === 0) continue;
		if (armor === undefined) armor = chunk[0] === DASH ? new Armor() : null;
		if (armor === null) yield chunk;
		else yield armor.decode(chunk);
	}
	armor?.end();
}

type Part = 'before' | 'headers' | 'data' | 'after';

class Armor {
	#part: Part = 'before';
	/** What does not make a line yet, or a group of four characters. */
	#line = '';
	#group = '';

	decode(chunk: Buffer): Buffer {
		const lines = (this.#line + chunk.toString('latin1')).split('\n');
		this.#line = lines.pop() ?? '';
		if (this.#line.length > MAX_LINE) throw broken();
		for (const line of lines) this.#take(line.trimEnd());
		const whole = this.#group.length - (this.#group.length % 4);
		const bytes = Buffer.from(this.#group.slice(0, whole), 'base64');
		this.#group = this.#group.slice(whole);
		return bytes;
	}

	/** @throws DamageError when the armor is cut off */
	end(): void {
		this.#take(this.#line.trimEnd());
		if (this.#part !== 'after' || this.#group !== '') throw broken();
	}

	#take(line: string): void {
		if (this.#part === 'before') {
			if (line !== '-----BEGIN PGP MESSAGE-----') throw broken();
			this.#part = 'headers';
		} else if (this.#part === 'headers') {
			if (line === '') this.#part = 'data';
		} else if (line === '-----END PGP MESSAGE-----' && this.#part === 'data') {
			this.#part = 'after';
		} else if (this.#part === 'after') {
			if (line !== '') throw broken();
		} else if (!line.startsWith('=')) {
			if (!/^[A-Za-z0-9+/]*={0,2}$/.test(line)) throw broken();
			this.#group += line;
		}
	}
}

function broken(): DamageError {
	return new DamageError('the ASCII armor of the OpenPGP message is damaged or cut off');
}
