/** What extended attributes an entry of the source has. Not asked of what has the stamp that it had: a change of them changes the ctime. */
import { getXattr, listXattrs } from '../posix/calls.js';
import { encodeXattrs, isKept, LONGEST_LIST, type Xattr } from '../volume/xattrs.js';

export interface SourceXattrs {
	/** As `encodeXattrs` has them; null: none. */
	readonly xattrs: Buffer | null;
	/** Names of those that could not be read, or had no room, and why. */
	readonly left: { readonly name: string; readonly error: unknown }[];
}

/** @param file a path, whose last component is not followed, or a descriptor. Throws nothing. */
export function readXattrs(file: Buffer | number): SourceXattrs {
	const left: SourceXattrs['left'] = [];
	const found: Xattr[] = [];
	let room = LONGEST_LIST;
	for (const name of names(file, left)) {
		try {
			// null: it is gone by now.
			const value = getXattr(file, name);
			if (!value) continue;
			room -= name.length + value.length + 5;
			if (room < 0) throw new Error(`there are more than ${LONGEST_LIST} bytes of them`);
			found.push({ name, value });
		} catch (error) {
			left.push({ name: name.toString(), error });
		}
	}
	return { xattrs: encodeXattrs(found), left };
}

function names(file: Buffer | number, left: SourceXattrs['left']): Buffer[] {
	let list: Buffer;
	try {
		list = listXattrs(file);
	} catch (error) {
		const { code } = error as NodeJS.ErrnoException;
		// A file system without them; or it is gone, and somebody else says so.
		if (code !== 'ENOTSUP' && code !== 'EOPNOTSUPP' && code !== 'ENOENT') left.push({ name: 'all', error });
		return [];
	}
	if (list.length === 0) return [];
	const result: Buffer[] = [];
	for (let start = 0; start < list.length; ) {
		const end = list.indexOf(0, start);
		const name = list.subarray(start, end);
		if (isKept(name)) result.push(name);
		start = end + 1;
	}
	return result;
}
