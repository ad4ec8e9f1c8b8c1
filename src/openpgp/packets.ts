/**
 * OpenPGP packet headers (RFC 9580 4.2): the octets that the writers of messages need. Used by src/openpgp and by the
 * volume writer; pure, nothing here reads or holds data.
 */

/** First octet of a new-format packet with this tag (0..63). */
export function newTag(tag: number): number {
	return 0xc0 | tag;
}

/** Shortest new-format length of a packet with a body of `n` bytes: 1, 2 or 5 octets. */
export function definiteLength(n: number): Buffer {
	if (n < 192) return Buffer.from([n]);
	if (n < 8384) return Buffer.from([192 + ((n - 192) >> 8), (n - 192) & 0xff]);
	return fiveOctetLength(n);
}

/** New-format length of a body of `n` bytes (below 2^32), always 5 octets. */
export function fiveOctetLength(n: number): Buffer {
	const octets = Buffer.alloc(5, 0xff);
	octets.writeUInt32BE(n, 1);
	return octets;
}

/** The one octet that stands before a partial body chunk of `2 ** power` bytes (power 0..30). */
export function partialLength(power: number): number {
	return 0xe0 | power;
}
