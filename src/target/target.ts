/**
 * Where objects live. A target is flat: names have no folders below its prefix (but see `deep` of S3Location).
 * Everything that stores or fetches goes through this interface; what all targets need
 * (counting, later retry and throttling) is a decorator round it.
 */

export interface ObjectInfo {
	readonly name: string;
	/** Bytes. */
	readonly size: number;
}

/** One object being written. It appears under its name, whole, when `commit` resolves; never before. */
export interface ObjectWriter {
	/** Resolves when more may be written (back-pressure); the chunk must not be changed afterwards. */
	write(chunk: Buffer): Promise<void>;
	/**
	 * Everything is durable on the target when this resolves. @throws TargetError; LockError when another run has written the object,
	 * where the store can tell
	 */
	commit(): Promise<void>;
	/** Forget what was written; leaves nothing behind. Safe to call at any time, also twice. */
	abort(): Promise<void>;
}

export interface Target {
	/** For messages: the URL without secrets. */
	readonly url: string;
	/** Every object there, in no particular order. @throws TargetError */
	list(): Promise<ObjectInfo[]>;
	/** Exactly `length` bytes from `offset`. @throws MissingObjectError, TargetError; DamageError when it is shorter */
	read(name: string, offset: number, length: number): Promise<Buffer>;
	/** The whole object in chunks. @throws MissingObjectError, TargetError */
	stream(name: string): AsyncIterable<Buffer>;
	create(name: string): ObjectWriter;
	/** Objects that are not there are not an error. @throws TargetError */
	delete(names: readonly string[]): Promise<void>;
	/** What writers of this target have begun and not ended; names for messages. @throws TargetError */
	unfinished(): Promise<string[]>;
	/** Remove what a killed writer of this target left half written. @throws TargetError */
	sweep(): Promise<void>;
}
