/** A proxy before a real S3 server that lets a test break chosen requests on their way. */
import { createServer, type IncomingMessage, request } from 'node:http';
import type { AddressInfo } from 'node:net';

export interface Fault {
	/** Answer with this status and S3 error code instead of asking the server. */
	readonly refuse?: { readonly status: number; readonly code: string };
	/** Cut the connection after about so many bytes of the answer's body. */
	readonly cutAfter?: number;
}

export interface S3Proxy {
	readonly endpoint: string;
	stop(): void;
}

/** Asked for each request; undefined lets it through. */
export type FaultOf = (request: IncomingMessage) => Fault | undefined;

/** @param server its endpoint */
export async function startS3Proxy(server: string, fault: FaultOf): Promise<S3Proxy> {
	const proxy = createServer((incoming, answer) => {
		const { refuse, cutAfter = Number.POSITIVE_INFINITY } = fault(incoming) ?? {};
		if (refuse !== undefined) {
			incoming.resume();
			answer.writeHead(refuse.status, { 'content-type': 'application/xml' });
			answer.end(`<?xml version="1.0"?><Error><Code>${refuse.code}</Code><Message>no</Message></Error>`);
			return;
		}
		const { method, url, headers } = incoming;
		const outgoing = request(server + url, { method, headers }, (response) => {
			answer.writeHead(response.statusCode ?? 500, response.headers);
			let sent = 0;
			response.on('data', (chunk: Buffer) => {
				if (sent >= cutAfter) return;
				sent += chunk.length;
				const cut = sent >= cutAfter ? () => incoming.socket.destroy() : undefined;
				answer.write(chunk, cut);
			});
			response.on('end', () => {
				if (sent < cutAfter) answer.end();
			});
		});
		outgoing.on('error', () => answer.destroy());
		incoming.pipe(outgoing);
	});
	await new Promise<void>((resolve) => proxy.listen(0, '127.0.0.1', resolve));
	const { port } = proxy.address() as AddressInfo;
	return {
		endpoint: `http://127.0.0.1:${port}`,
		stop: () => {
			proxy.closeAllConnections();
			proxy.close();
		},
	};
}
