/** From an object as it is stored, whoever wrote it, to the bytes in it. */
import { Readable } from 'node:stream';
import { createGunzip } from 'node:zlib';
import type { SetObject } from '../collection/backup-set.js';
import { DamageError } from '../errors.js';
import { decryptObject } from '../openpgp/decrypt-object.js';
import type { Opener } from '../openpgp/opener.js';

export type ObjectForm = 'gpg' | 'gz' | 'plain';

/** duplicity never looks into an object: its name says what it is. */
export function formOf(object: SetObject): ObjectForm {
	if (object.encrypted) return 'gpg';
	return object.compressed ? 'gz' : 'plain';
}

/**
 * The bytes in an object; authentic only when the iteration ends without error.
 * @param open gives the stored bytes; called once, when the iteration begins
 * @throws KeyError, DamageError, and what `open` throws
 */
export function plainBytes(
	name: string,
	form: ObjectForm,
	open: () => AsyncIterable<Buffer>,
	opener: Pick<Opener, 'sessionKey' | 'gpg'>,
): AsyncIterable<Buffer> {
	if (form === 'gpg') return decryptObject(name, open, opener);
	return form === 'gz' ? gunzip(name, open()) : open();
}

async function* gunzip(name: string, chunks: AsyncIterable<Buffer>): AsyncGenerator<Buffer, void> {
	const source = Readable.from(chunks, { objectMode: false });
	const plain = createGunzip();
	source.once('error', (error) => plain.destroy(error));
	try {
		yield* source.pipe(plain) as AsyncIterable<Buffer>;
	} catch (error) {
		const code = (error as { code?: string }).code ?? '';
		if (!code.startsWith('Z_')) throw error;
		throw new DamageError(`${name} is damaged.`, { cause: error });
	} finally {
		source.destroy();
	}
}
