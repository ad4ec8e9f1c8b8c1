/** Loads the project's native addons (native/), each when it is first used: what does not need it works without it. */
import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { TsdupError } from './errors.js';

/**
 * What the addon `name` exports.
 * @param library the Debian package that it is linked with
 * @throws TsdupError when it is not built or does not load
 */
export function loadAddon(name: string, library: string): unknown {
	const path = addonPath(name);
	try {
		return createRequire(import.meta.url)(path);
	} catch (cause) {
		throw new TsdupError(
			`The native addon ${path} does not load (${String(cause)}): install ${library}, or run "npm run setup" in ${packageRoot()}`,
			{ cause },
		);
	}
}

/** Where the addon is. @throws TsdupError when it is not built */
export function addonPath(name: string): string {
	const root = packageRoot();
	const path = join(root, 'native/build/Release', `${name}.node`);
	if (existsSync(path)) return path;
	throw new TsdupError(`The native addon is not built (no ${path}): run "npm run setup" in ${root}`);
}

/** The nearest folder above with a package.json: this file lies at different depths before and after compiling. */
function packageRoot(): string {
	let folder = import.meta.dirname;
	while (!existsSync(join(folder, 'package.json')) && folder !== dirname(folder)) folder = dirname(folder);
	return folder;
}
