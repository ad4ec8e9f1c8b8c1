/**
 * Writes one volume: tar bytes in, an object that stock gpg or gzip reads as an ordinary file out, and the table of
 * its frames. Used for volumes, sigtars and segments. The inside of an encrypted one, after the SEIPD prefix:
 *
 *     a3 01 (ZIP, indeterminate length) deflate( cb [f4][6 header bytes + 2^20 - 6 tar bytes] [f4][2^20] … [length][rest] )
 *
 * Each bracketed literal chunk is a frame: deflated on its own up to a full flush (the last one to the stream's end), so
 * it inflates without what stands before it. An unencrypted volume has one gzip member per frame. With a signer, a
 * one-pass signature packet stands before the literal and the signature behind it, each deflated on its own as well.
 */
import { type Form, PACK_ROOM, type Packed, pack, sha1 } from '../frames/frames.js';
import type { Encryptor } from '../openpgp/encryptor.js';
import type { Signing } from '../openpgp/gpg-sign.js';
import { newTag } from '../openpgp/packets.js';
import type { ObjectWriter } from '../target/target.js';
import { FRAME_LENGTH, type Frame, type StoredVolume } from './frame.js';
import { FIRST_LENGTH, literalPrefix, MAX_PREFIX } from './literal.js';
import { SeipdWriter } from './seipd.js';

/** Frames that are being compressed or wait for their turn to be written: the threads of libuv's pool. */
const IN_FLIGHT = 4;

/** How much of its tar a volume is taken to have while none of its frames is compressed yet: between text and media. */
const FIRST_GUESS = 0.5;

const SEIPD_TAG = 18;
/** Compressed data packet: old format, indeterminate length, algorithm ZIP. */
const COMPRESSED = Buffer.from([0xa3, 0x01]);
const NONE = Buffer.alloc(0);
const DONE = Promise.resolve();

export class VolumeWriter {
	readonly #writer: ObjectWriter;
	readonly #name: string;
	readonly #encryptor: Encryptor | null;
	readonly #sha1 = sha1();
	readonly #frames: Frame[] = [];
	readonly #inFlight: Promise<void>[] = [];
	/** Settles when every frame started so far is with the object writer. */
	#emitted: Promise<void> = Promise.resolve();
	#failure: { readonly error: unknown } | undefined;
	#seipd: SeipdWriter | undefined;
	#signing: Signing | undefined;
	#key: Buffer | null = null;
	#body = 0;
	#storedBytes = 0;
	/** Tar bytes whose frames are with the object writer. */
	#emittedLength = 0;
	#tarLength = 0;
	/** Room for the prefix, then the tar bytes of the frame that is being filled. */
	#buffer = newBuffer();
	/** Buffers of frames that are written: fresh ones for each would keep the garbage collector busy. */
	readonly #free: Buffer[] = [];
	readonly #freeOutputs: Buffer[] = [];
	#filled = 0;

	/** @param encryptor null writes gzip */
	constructor(writer: ObjectWriter, name: string, encryptor: Encryptor | null) {
		this.#writer = writer;
		this.#name = name;
		this.#encryptor = encryptor;
	}

	/** Tar bytes written so far. */
	get tarLength(): number {
		return this.#tarLength;
	}

	/** Bytes given to the object writer so far; lags behind `tarLength` by the frames in flight. */
	get storedBytes(): number {
		return this.#storedBytes;
	}

	/** What the object would have if it ended now: frames in flight are taken to compress as those before them did. */
	get expectedBytes(): number {
		const emitted = this.#seipd?.payloadLength ?? this.#storedBytes;
		const ratio = this.#emittedLength > 0 ? emitted / this.#emittedLength : FIRST_GUESS;
		return emitted + (this.#tarLength - this.#emittedLength) * ratio;
	}

	/**
	 * Resolves when more may be written; `tar` was copied then. One call at a time.
	 * @throws what the object writer or the encryptor threw for an earlier frame
	 */
	write(tar: Buffer): Promise<void> {
		if (this.#failure) return Promise.reject(this.#failure.error);
		const room = this.#capacity() - this.#filled;
		if (tar.length > room) return this.#fill(tar);
		this.#copy(tar, 0, tar.length);
		return DONE;
	}

	async #fill(tar: Buffer): Promise<void> {
		let from = 0;
		while (from < tar.length) {
			// A full frame waits for the next byte, because the last frame is framed differently.
			if (this.#filled === this.#capacity()) await this.#startFrame(false);
			const length = Math.min(tar.length - from, this.#capacity() - this.#filled);
			this.#copy(tar, from, length);
			from += length;
		}
	}

	#copy(tar: Buffer, from: number, length: number): void {
		tar.copy(this.#buffer, MAX_PREFIX + this.#filled, from, from + length);
		this.#filled += length;
		this.#tarLength += length;
	}

	/** Ends the object's bytes; nothing is under its name before `commit`. @throws as `write` */
	async finish(): Promise<StoredVolume> {
		await this.#startFrame(true);
		await this.#emitted;
		if (this.#signing) {
			await this.#seipd?.write(await deflated(await this.#signing.finish(), 'end'));
		}
		await this.#seipd?.finish();
		return {
			name: this.#name,
			size: this.#storedBytes,
			sha1: this.#sha1.digest().toString('hex'),
			key: this.#key,
			body: this.#body,
			tarLength: this.#tarLength,
			frames: this.#frames,
		};
	}

	/** The object is durable on the target when this resolves. Only after `finish`. */
	commit(): Promise<void> {
		return this.#writer.commit();
	}

	/** Forgets what was written; safe at any time, also twice. */
	abort(): Promise<void> {
		this.#failure ??= { error: new Error(`writing of ${this.#name} was aborted`) };
		this.#signing?.abort();
		return this.#writer.abort();
	}

	#check(): void {
		if (this.#failure) throw this.#failure.error;
	}

	/** Tar bytes that fit into the frame that is being filled. */
	#capacity(): number {
		const first = this.#filled === this.#tarLength;
		return first && this.#encryptor ? FIRST_LENGTH : FRAME_LENGTH;
	}

	async #startFrame(last: boolean): Promise<void> {
		if (this.#inFlight.length === IN_FLIGHT) await this.#inFlight.shift();
		this.#check();
		const tarLength = this.#filled;
		const tarOffset = this.#tarLength - tarLength;
		const tar = this.#buffer.subarray(MAX_PREFIX, MAX_PREFIX + tarLength);
		const buffer = this.#buffer;
		const output = this.#freeOutputs.pop() ?? Buffer.allocUnsafeSlow(buffer.length + PACK_ROOM);
		const packed = this.#pack(output, tarOffset, tarLength, last);
		const emitted = Promise.all([packed, this.#emitted]).then(async ([{ length, digest }]) => {
			await this.#emit(output.subarray(0, length), tar, tarOffset, digest);
			this.#free.push(buffer);
			this.#freeOutputs.push(output);
		});
		emitted.catch((error) => {
			this.#failure ??= { error };
		});
		this.#emitted = emitted;
		this.#inFlight.push(emitted);
		if (last) return;
		this.#buffer = this.#free.pop() ?? newBuffer();
		this.#filled = 0;
	}

	#pack(output: Buffer, tarOffset: number, tarLength: number, last: boolean): Promise<Packed> {
		const prefix = this.#encryptor ? literalPrefix(tarOffset, tarLength, last) : NONE;
		const start = MAX_PREFIX - prefix.length;
		prefix.copy(this.#buffer, start);
		const ends = last && !this.#encryptor?.signer;
		const form: Form = !this.#encryptor ? 'gzip' : ends ? 'end' : 'part';
		return pack(this.#buffer.subarray(start, MAX_PREFIX + tarLength), output, form, prefix.length);
	}

	async #emit(piece: Buffer, tar: Buffer, tarOffset: number, digest: Buffer): Promise<void> {
		const tarLength = tar.length;
		if (this.#encryptor) this.#seipd ??= await this.#begin(this.#encryptor);
		const offset = this.#seipd ? this.#seipd.payloadLength : this.#storedBytes;
		if (this.#seipd) await this.#seipd.write(piece);
		// The object writer may keep it.
		else await this.#store(Buffer.from(piece));
		await this.#signing?.write(tar);
		this.#emittedLength += tarLength;
		if (tarLength > 0) this.#frames.push({ tarOffset, tarLength, offset, length: piece.length, digest });
	}

	async #begin(encryptor: Encryptor): Promise<SeipdWriter> {
		const { header, sessionKey } = await encryptor.newMessage();
		await this.#store(Buffer.concat([header, Buffer.from([newTag(SEIPD_TAG)])]));
		this.#key = sessionKey;
		this.#body = this.#storedBytes;
		const seipd = new SeipdWriter(sessionKey, (bytes) => this.#store(bytes));
		await seipd.begin();
		await seipd.write(Buffer.from(COMPRESSED));
		if (encryptor.signer) {
			await seipd.write(await deflated(encryptor.signer.onePass, 'part'));
			this.#signing = encryptor.signer.begin();
		}
		return seipd;
	}

	async #store(bytes: Buffer): Promise<void> {
		this.#check();
		await this.#sha1(bytes);
		this.#storedBytes += bytes.length;
		await this.#writer.write(bytes);
	}
}

function newBuffer(): Buffer {
	return Buffer.allocUnsafeSlow(MAX_PREFIX + FRAME_LENGTH);
}

/** A packet that stands beside the literal. */
async function deflated(packet: Buffer, form: Form): Promise<Buffer> {
	const output = Buffer.alloc(packet.length + PACK_ROOM);
	const { length } = await pack(packet, output, form, 0);
	return output.subarray(0, length);
}
