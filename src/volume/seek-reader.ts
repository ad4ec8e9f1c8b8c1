/** Reads one frame of a volume of duplicity's, from the bytes of the object that the frame names. */
import { decryptCfb, hashOf } from '../crypto/crypto.js';
import { DamageError } from '../errors.js';
import { Inflater } from '../inflate/inflater.js';
import { PartialLengths } from '../openpgp/partial-lengths.js';
import { withRoom } from './rooms.js';
import { openState, type SeekFrame } from './seek-point.js';

/**
 * The tar bytes of a frame, proven by its digest.
 * @param name the object's, for messages
 * @param key the message's session key
 * @throws DamageError when the bytes are not what was scanned
 */
export async function decodeSeekFrame(
	name: string,
	key: Buffer,
	frame: SeekFrame,
	bytes: Buffer,
): Promise<Buffer> {
	if (!(await hasDigest(bytes, frame))) throw damaged(name, frame);
	const { outerLeft, cfbSkip, inflated, crc, inner } = frame.point;
	const inflater = new Inflater(openState(frame.point.state, key, frame.tarOffset));
	const output = Buffer.allocUnsafeSlow(inflated);
	const done = await withRoom(bytes.length, async (room) => {
		const payload = new PartialLengths(outerLeft).push(bytes, undefined, room);
		const compressed = (await decryptCfb(key, payload, room)).subarray(cfbSkip);
		return inflater.run(compressed, output);
	}).catch((cause) => {
		throw damaged(name, frame, cause);
	});
	if (done.made < inflated || done.crc !== crc) throw damaged(name, frame);
	const body = output.subarray(inner.skip);
	return new PartialLengths(inner.left).push(body, undefined, body).subarray(0, frame.tarLength);
}

async function hasDigest(bytes: Buffer, { digest }: SeekFrame): Promise<boolean> {
	return digest.equals(await hashOf('sha256', bytes));
}

function damaged(name: string, { offset, length }: SeekFrame, cause?: unknown): DamageError {
	return new DamageError(
		`${name} is damaged in bytes ${offset} to ${offset + length}; restore the object from a copy, or make a new full backup`,
		{ cause },
	);
}
