/**
 * Memory that is needed for a moment only, while a frame is decoded: used again, because each new large buffer has to be mapped,
 * and makes the garbage collector look at everything.
 */

/** Rooms that are kept: as many frames as are decoded at once. */
const KEPT = 4;

let free: Buffer[] = [];

/** @param use may use the room, of at least `length` bytes, until it has settled */
export async function withRoom<T>(length: number, use: (room: Buffer) => Promise<T>): Promise<T> {
	const room = free.find((one) => one.length >= length) ?? Buffer.allocUnsafeSlow(length);
	free = free.filter((one) => one !== room);
	try {
		return await use(room);
	} finally {
		// The smallest goes.
		free = [...free, room].sort((a, b) => b.length - a.length).slice(0, KEPT);
	}
}
