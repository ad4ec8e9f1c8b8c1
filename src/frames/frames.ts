/**
 * What is done to the bytes of a volume on their way to the target and back, on the thread pool (native/frames.cc): ISA-L's DEFLATE,
 * SHA-256, and OpenSSL's AES-CFB and SHA-1. Buffers are used in place: nobody else may use them until a call has settled.
 */
import { loadAddon } from '../addon.js';

export interface Packed {
	/** Bytes of the output that were written. */
	readonly length: number;
	/** SHA-256, 32 bytes. */
	readonly digest: Buffer;
}

/** Where in the stored bytes a frame's compressed data is. */
export interface Packing {
	/** AES-256, 32 bytes; null: a gzip member, and what follows does not count. */
	readonly key: Buffer | null;
	/** Beginning and end of each run of payload among the bytes: the ciphertext of one block before, then that of the frame. */
	readonly runs: readonly number[];
	/** Plaintext bytes before the compressed ones. */
	readonly skip: number;
}

export interface Unpacked {
	/** Bytes of the output that were written. */
	readonly made: number;
	/** SHA-256, 32 bytes. */
	readonly digest: Buffer;
}

/** Await each call before the next. */
export interface Stream {
	(bytes: Buffer): Promise<void>;
	/** SHA-1 of all bytes so far, as they were given; 20 bytes. */
	digest(): Buffer;
}

/** `part`: up to a full flush, so that more may follow; `end`: the end of a stream; `gzip`: a whole member. */
export type Form = 'part' | 'end' | 'gzip';

interface Native {
	pack(input: Buffer, output: Buffer, form: Form, tarOffset: number): Promise<Packed>;
	unpack(
		stored: Buffer,
		output: Buffer,
		key: Buffer | null,
		runs: readonly number[],
		skip: number,
		tarLength: number,
	): Promise<Unpacked>;
	sealer(key: Buffer): Stream;
	sha1(): Stream;
}

let loaded: Native | undefined;

function native(): Native {
	loaded ??= loadAddon('frames', 'libisal2') as Native;
	return loaded;
}

/** What `pack` needs for its output besides the length of the input, bytes: what does not compress is stored in pieces of 64 KiB. */
export const PACK_ROOM = 4096;

/**
 * Deflates the input on its own.
 * @param input at most 1 MiB and a little
 * @param output as long as the input and PACK_ROOM
 * @param tarOffset where the bytes begin that the digest is made of
 */
export function pack(input: Buffer, output: Buffer, form: Form, tarOffset: number): Promise<Packed> {
	return native().pack(input, output, form, tarOffset);
}

/**
 * Decrypts and inflates one frame, until the output is full.
 * @param tarLength bytes at the end of the output that the digest is made of
 * @throws Error when there is no compressed data
 */
export function unpack(
	stored: Buffer,
	output: Buffer,
	{ key, runs, skip }: Packing,
	tarLength: number,
): Promise<Unpacked> {
	return native().unpack(stored, output, key, runs, skip, tarLength);
}

/** Encrypts in place what it is given, AES-256-CFB. @param key 32 bytes, used for nothing else: the first block's vector is zero */
export function sealer(key: Buffer): Stream {
	return native().sealer(key);
}

/** Only sums up what it is given. */
export function sha1(): Stream {
	return native().sha1();
}
