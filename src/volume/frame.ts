/**
 * What the index keeps of a stored volume (difftar, sigtar or segment) so that it can be read from the middle.
 * `VolumeWriter` makes these, the index stores them, the reader needs nothing else.
 */

/**
 * Tar bytes per frame. One mebibyte, because a frame is one partial chunk of the literal packet, whose length must be
 * a power of two.
 */
export const FRAME_LENGTH = 2 ** 20;

/** A run of tar bytes that is compressed on its own. All offsets and lengths are bytes. */
export interface Frame {
	/** Where its tar bytes begin in the volume's tar. */
	readonly tarOffset: number;
	/** 1 to FRAME_LENGTH. */
	readonly tarLength: number;
	/** Where it begins in the volume's payload (see layout.ts). */
	readonly offset: number;
	/** Payload bytes. */
	readonly length: number;
	/** SHA-256 of its tar bytes, 32 bytes. */
	readonly digest: Buffer;
}

export interface StoredVolume {
	/** Name of the object. */
	readonly name: string;
	/** Bytes of the object. */
	readonly size: number;
	/** SHA-1 of the object, hex, as duplicity's manifest wants it. */
	readonly sha1: string;
	/** AES-256 session key, 32 bytes; null when the object is gzip, not encrypted. */
	readonly key: Buffer | null;
	/** Offset in the object of the first length octet of the encrypted packet; 0 for gzip. */
	readonly body: number;
	/** Bytes of the tar. */
	readonly tarLength: number;
	/** Ascending, without gaps, together `tarLength` bytes. */
	readonly frames: readonly Frame[];
}
