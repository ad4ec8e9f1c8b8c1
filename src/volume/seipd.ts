/**
 * The body of an encrypted volume: one SEIPDv1 packet (RFC 9580 5.13.1) under AES-256-CFB, with the outer lengths of
 * layout.ts. `VolumeWriter` writes the packet's tag before it and plaintext packets through it; holds at most one
 * chunk of ciphertext.
 */
import { randomBytes } from 'node:crypto';
import { type Stream, sealer } from '../frames/frames.js';
import { definiteLength, fiveOctetLength, newTag, partialLength } from '../openpgp/packets.js';
import { CHUNK_LENGTH, CHUNK_POWER, LAST_OCTETS } from './layout.js';

const VERSION = 1;
const BLOCK = 16;
const MDC_TAG = 19;
const MDC_LENGTH = 20;

export class SeipdWriter {
	readonly #sink: (bytes: Buffer) => Promise<void>;
	/** Encrypts, and sums up for the MDC. */
	readonly #seal: Stream;
	#payloadLength = 0;
	/** Room for the length octets, then the ciphertext of the chunk that is being filled. */
	#chunk = Buffer.allocUnsafeSlow(LAST_OCTETS + CHUNK_LENGTH);
	#filled = 0;

	/**
	 * @param sessionKey 32 bytes
	 * @param sink gets the packet's bytes in order and may keep them; the next call waits for its promise
	 */
	constructor(sessionKey: Buffer, sink: (bytes: Buffer) => Promise<void>) {
		this.#sink = sink;
		this.#seal = sealer(sessionKey);
	}

	/** Payload bytes so far: the payload offset of what is written next. */
	get payloadLength(): number {
		return this.#payloadLength;
	}

	/** Version octet, random block and its last two bytes again. */
	async begin(): Promise<void> {
		await this.#append(Buffer.from([VERSION]));
		const random = randomBytes(BLOCK);
		await this.write(Buffer.concat([random, random.subarray(-2)]));
	}

	/** `plain` is encrypted in place; it may be used again when this resolves. */
	async write(plain: Buffer): Promise<void> {
		await this.#seal(plain);
		await this.#append(plain);
	}

	/** The MDC packet and the last chunk. */
	async finish(): Promise<void> {
		const packet = Buffer.alloc(2 + MDC_LENGTH);
		const head = Buffer.concat([Buffer.from([newTag(MDC_TAG)]), definiteLength(MDC_LENGTH)]);
		head.copy(packet);
		// The digest covers the head of its own packet, too.
		await this.#seal(packet.subarray(0, head.length));
		this.#seal.digest().copy(packet, head.length);
		await this.#seal(packet.subarray(head.length));
		await this.#append(packet);
		fiveOctetLength(this.#filled).copy(this.#chunk);
		await this.#sink(this.#chunk.subarray(0, LAST_OCTETS + this.#filled));
	}

	async #append(payload: Buffer): Promise<void> {
		this.#payloadLength += payload.length;
		let from = 0;
		while (from < payload.length) {
			const copied = payload.copy(this.#chunk, LAST_OCTETS + this.#filled, from);
			this.#filled += copied;
			from += copied;
			if (this.#filled === CHUNK_LENGTH) await this.#flushFull();
		}
	}

	async #flushFull(): Promise<void> {
		const full = this.#chunk;
		full[LAST_OCTETS - 1] = partialLength(CHUNK_POWER);
		this.#chunk = Buffer.allocUnsafeSlow(LAST_OCTETS + CHUNK_LENGTH);
		this.#filled = 0;
		await this.#sink(full.subarray(LAST_OCTETS - 1));
	}
}
