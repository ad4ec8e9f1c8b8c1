/**
 * A programmable proxy before a real S3 server: a test says for each request what shall go wrong with it on its way.
 * Everything that is not broken on purpose passes through unchanged.
 */
import { createServer, type IncomingMessage, request, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { pipeline, Transform } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import { seededRandom } from './tree.js';

/** What goes wrong; several can be combined. Counts are bytes of a body. */
export interface Fault {
	/** Milliseconds before anything else happens. */
	readonly delay?: number;
	/** Answer with this status and S3 error code instead of asking the server. */
	readonly refuse?: { readonly status: number; readonly code: string };
	/** Reset the connection after about so many bytes of the request's body have come; the server gets no whole request. */
	readonly cutRequestAfter?: number;
	/** Close the connection after about so many bytes of the answer's body; 0: the server did it, its answer is lost. */
	readonly cutAfter?: number;
	/** Keep still, connection open: without answering, or after about so many bytes of the answer's body. */
	readonly stall?: true | number;
	/** The answer ends so many bytes early, as if that were all there is. */
	readonly shorten?: number;
	/** Another byte than the server sent, at this offset of the answer's body. */
	readonly flip?: number;
	/** Another byte than the client sent, at this offset of the request's body. */
	readonly flipRequest?: number;
	/** Headers of the answer that are put in the place of the server's. */
	readonly headers?: Readonly<Record<string, string>>;
	/** Told when the server has answered; the client gets nothing before the promise ends. */
	readonly answered?: () => Promise<void>;
}

export interface S3Proxy {
	readonly endpoint: string;
	stop(): void;
}

/** Asked for each request; undefined lets it through. */
export type FaultOf = (request: IncomingMessage) => Fault | undefined;

/** The first `count` requests of a kind pass, the following have the fault. */
export function afterFirst(count: number, fault: Fault, kind = /./): FaultOf {
	let seen = 0;
	return (request) => (kind.test(inWords(request)) && seen++ >= count ? fault : undefined);
}

/** Only the first `count` requests of a kind have the fault. */
export function onlyFirst(count: number, fault: Fault, kind = /./): FaultOf {
	let seen = 0;
	return (request) => (kind.test(inWords(request)) && seen++ < count ? fault : undefined);
}

/** Whichever of them has something to say first. */
export function eitherOf(...faults: readonly FaultOf[]): FaultOf {
	return (request) => faults.map((fault) => fault(request)).find((found) => found !== undefined);
}

/** One of the faults, at random, for a share of the requests from 0 to 1; the same for the same seed. */
export function byChance(seed: number, share: number, faults: readonly Fault[]): FaultOf {
	const random = seededRandom(seed);
	return () => (random() < share ? faults[Math.floor(random() * faults.length)] : undefined);
}

/** `PUT /bucket/name?query`, for patterns. */
export function inWords({ method, url }: IncomingMessage): string {
	return `${method} ${decodeURIComponent(url ?? '')}`;
}

/** @param server its endpoint */
export async function startS3Proxy(server: string, fault: FaultOf): Promise<S3Proxy> {
	const proxy = createServer((incoming, answer) => {
		// A client that gives up is no trouble.
		incoming.on('error', () => undefined);
		handle(server, incoming, answer, fault(incoming) ?? {}).catch(() => reset(incoming));
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

async function handle(
	server: string,
	incoming: IncomingMessage,
	answer: ServerResponse,
	fault: Fault,
): Promise<void> {
	if (fault.delay !== undefined) await sleep(fault.delay);
	if (fault.refuse !== undefined) {
		const { status, code } = fault.refuse;
		incoming.resume();
		answer.writeHead(status, { 'content-type': 'application/xml', ...fault.headers });
		answer.end(`<?xml version="1.0"?><Error><Code>${code}</Code><Message>no</Message></Error>`);
		return;
	}
	if (fault.stall === true) return void incoming.resume();
	const response = await forward(server, incoming, fault);
	await fault.answered?.();
	if (fault.cutAfter === 0) return void incoming.socket.destroy();
	const headers = { ...response.headers, ...fault.headers };
	let length = Number(headers['content-length'] ?? Number.NaN);
	if (fault.shorten !== undefined) length -= fault.shorten;
	if (!Number.isNaN(length)) headers['content-length'] = String(length);
	answer.writeHead(response.statusCode ?? 500, headers);
	let sent = 0;
	for await (const chunk of response as AsyncIterable<Buffer>) {
		const bytes = flipped(chunk, sent, fault.flip).subarray(
			0,
			Number.isNaN(length) ? undefined : length - sent,
		);
		sent += bytes.length;
		await new Promise((resolve) => answer.write(bytes, resolve));
		if (sent >= (fault.cutAfter ?? Number.POSITIVE_INFINITY)) return void incoming.socket.destroy();
		if (typeof fault.stall === 'number' && sent >= fault.stall) return;
	}
	answer.end();
}

/** @returns the server's answer. Rejects when the connection was cut. */
function forward(server: string, incoming: IncomingMessage, fault: Fault): Promise<IncomingMessage> {
	const { method, url, headers } = incoming;
	return new Promise((resolve, reject) => {
		const outgoing = request(server + url, { method, headers }, resolve);
		let seen = 0;
		const body = new Transform({
			transform(chunk: Buffer, _, done) {
				const bytes = flipped(chunk, seen, fault.flipRequest);
				seen += bytes.length;
				done(seen >= (fault.cutRequestAfter ?? Number.POSITIVE_INFINITY) ? new Error('cut') : null, bytes);
			},
		});
		outgoing.on('error', reject);
		pipeline(incoming, body, outgoing, (error) => error && reject(error));
	});
}

function flipped(chunk: Buffer, at: number, offset: number | undefined): Buffer {
	if (offset === undefined || offset < at || offset >= at + chunk.length) return chunk;
	const bytes = Buffer.from(chunk);
	bytes[offset - at] = (bytes[offset - at] as number) ^ 0xff;
	return bytes;
}

function reset(incoming: IncomingMessage): void {
	if (incoming.socket && !incoming.socket.destroyed) incoming.socket.resetAndDestroy();
}
