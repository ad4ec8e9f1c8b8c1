/** Tells systemd that the mount stands, when it started this process as a service with Type=notify (sd_notify(3)). */
import { loadAddon } from '../addon.js';

/** @param status one line, which `systemctl status` shows. A service manager that does not listen is no reason not to go on. */
export function tellReady(status: string, log: (message: string) => void): void {
	const socket = process.env.NOTIFY_SOCKET;
	if (!socket) return;
	// Programs that are started from here have nothing to tell.
	delete process.env.NOTIFY_SOCKET;
	try {
		const { notify } = loadAddon('notify', 'libc6') as { notify(socket: string, state: string): void };
		notify(socket, `READY=1\nSTATUS=${status}\nMAINPID=${process.pid}`);
	} catch (error) {
		log(`cannot tell the service manager that the mount is ready: ${(error as Error).message}`);
	}
}
