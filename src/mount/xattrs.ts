/** Extended attributes as a mount with these options shows them; both drivers answer with it. */
import { isAcl } from '../volume/xattrs.js';
import { Errno, type FileSystem, type MountOptions } from './driver.js';

const NUL = Buffer.alloc(1);

export class ShownXattrs {
	readonly #fs: FileSystem;
	/** Where other owners or permissions are shown than those recorded, ACLs would give what the shown ones do not. */
	readonly #hidesAcls: boolean;

	constructor(fs: FileSystem, { uid, gid, umask }: MountOptions) {
		this.#fs = fs;
		this.#hidesAcls = uid !== undefined || gid !== undefined || umask !== undefined;
	}

	/** Names, each ended by a NUL, as listxattr(2) gives them. */
	async list(ino: number): Promise<Buffer> {
		const names = await this.#fs.listxattr(ino);
		return Buffer.concat(names.filter((name) => this.#shows(name)).flatMap((name) => [name, NUL]));
	}

	/** @throws Errno ENODATA when there is none of this name */
	async get(ino: number, name: Buffer): Promise<Buffer> {
		if (!this.#shows(name)) throw new Errno('ENODATA');
		return this.#fs.getxattr(ino, name);
	}

	#shows(name: Buffer): boolean {
		return !(this.#hidesAcls && isAcl(name));
	}
}
