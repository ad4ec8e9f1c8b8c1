/**
 * Memory that is needed for a moment only, while a frame is decoded: used again, because each new large buffer has to be mapped,
 * and makes the garbage collector look at everything.
 */

/** Rooms that are kept: as many frames as are decoded at once. */
const KEPT = 4;

const free: Buffer[] = [];

/** @param use may use the room, of at least `length` bytes, until it has settled */
export async function withRoom<T>(length: number, use: (room: Buffer) => Promise<T>): Promise<T> {
	const fitting = free.findIndex((room) => room.length >= length);
	const room = free.splice(fitting, fitting < 0 ? 0 : 1)[0] ?? Buffer.allocUnsafeSlow(length);
	try {
		return await use(room);
	} finally {
		free.push(room);
		// The smallest goes.
		free.sort((a, b) => b.length - a.length);
		free.length = Math.min(free.length, KEPT);
	}
}
