// SPDX-License-Identifier: BSD-2-Clause
//
// hostile.js - a peer with a valid certificate that says whatever hurts, as a client of a node and as
// the server that a node dials and calls. Speaks in frames, so that nothing keeps it from saying it.
//
// usage: node hostile.js client ADDR:PORT NODE DIR NAME ATTACK
//        node hostile.js server ADDR:PORT DIR NAME CONTROL_PORT
//        node hostile.js list client|server
//        node hostile.js limit
//
// DIR holds ca.pem, NAME.pem and NAME.key. The client attacks once and prints one JSON line: how the
// node ended it, and `wrong`, which is "" when that is what it should have done. The server does to
// each connection what was last ordered: a line on CONTROL_PORT (loopback) with an attack's name
// ends the one before and is answered with the JSON line about that one. `limit`: how many connections
// of one peer a node keeps.
'use strict';
const fs = require('fs');
const http2 = require('http2');
const net = require('net');
const path = require('path');
const tls = require('tls');
const {
	TYPE, FLAG, PREFACE, frame, u32, settings, fields, requestHead, request, message, Reader,
} = require('./frames.js');

const CODE = {
	NO_ERROR: 0, PROTOCOL_ERROR: 1, INTERNAL_ERROR: 2, FLOW_CONTROL_ERROR: 3, STREAM_CLOSED: 5,
	FRAME_SIZE_ERROR: 6, REFUSED_STREAM: 7, CANCEL: 8, COMPRESSION_ERROR: 9, ENHANCE_YOUR_CALM: 11,
};
const DEADLINE_EXCEEDED = 4;
const RESOURCE_EXHAUSTED = 8;
const PING = '/knell.v1.Peer/Ping';
const WATCH = '/grpc.health.v1.Health/Watch';
const CHUNK_BYTES = 64 << 10;
const FLOOD_BYTES = 64 << 20; // more than any bound on the other side
const FLOOD_MS = 4000;
const SETUP_MS = 15000; // a node gives a stranger 10 s to say hello
const GIB2 = 0x7fffffff;
const REQUEST_MAX = 128 << 10; // of a node; what is longer it refuses unread
const UNFINISHED = 200; // of these, more than a node holds of all that has begun
const SESSION_MIB = 64; // that these may take here
const UNFINISHED_S = 3; // the time that they may take, as they say themselves
const CONNECTIONS_MAX = 4352; // that a node keeps of one peer
const CONNECTIONS_MORE = 48;
const AT_ONCE = 12; // a node lets 16 of one address shake hands

const wait = (ms) => new Promise((resolve) => { setTimeout(resolve, ms); });
const many = (bytes, size = CHUNK_BYTES) => Buffer.concat(Array(Math.ceil(size / bytes.length)).fill(bytes));
const literal = (bytes) => fields([['x', 'y'.repeat(bytes)]]);

// One connection to be unpleasant on, and what the other side did about it.
class Victim {
	constructor(socket, skip, how) {
		this.socket = socket;
		this.resets = {};
		this.streams = []; // of the requests that came
		this.sent = 0;
		this.born = Date.now();
		this.polite = how.hello !== false && how.polite !== false; // acknowledges PING and SETTINGS
		this.ended = new Promise((resolve) => {
			socket.on('error', (error) => { this.error ??= error.code || error.message; });
			socket.on('close', () => {
				this.closed = true;
				this.lived_ms = Date.now() - this.born;
				resolve();
			});
		});
		this.reader = new Reader((...args) => this.hear(...args), skip);
		socket.on('data', (chunk) => this.reader.take(chunk));
		socket.on('end', () => { this.fin = true; });
	}

	hear(type, flags, stream, payload) {
		if (type === TYPE.GOAWAY)
			this.goaway ??= payload.readUInt32BE(4);
		else if (type === TYPE.RST_STREAM)
			this.resets[payload.readUInt32BE(0)] = (this.resets[payload.readUInt32BE(0)] || 0) + 1;
		else if (type === TYPE.SETTINGS && !(flags & FLAG.ACK) && this.polite)
			this.say(frame(TYPE.SETTINGS, FLAG.ACK, 0));
		else if (type === TYPE.PING && !(flags & FLAG.ACK) && this.polite)
			this.say(frame(TYPE.PING, FLAG.ACK, 0, payload));
		else if (type === TYPE.HEADERS)
			this.streams.push(stream);
		if (this.wake)
			this.wake();
	}

	say(...parts) {
		if (this.closed)
			return true;
		for (const part of parts)
			this.sent += part.length;
		return this.socket.write(parts.length === 1 ? parts[0] : Buffer.concat(parts));
	}

	// Says `make(i)` until the other side has had enough, or for so many bytes and milliseconds.
	async flood(make, bytes = FLOOD_BYTES, ms = FLOOD_MS) {
		const until = Date.now() + ms, limit = this.sent + bytes;
		for (let i = 0; !this.closed && this.sent < limit && Date.now() < until; i++) {
			if (this.say(make(i)))
				await wait(0);
			else
				await Promise.race([this.ended, wait(50), new Promise((resolve) => {
					this.socket.once('drain', resolve);
				})]);
		}
	}

	// A request of the other side's that was not given out yet; undefined when it hangs up first.
	async nextRequest() {
		while (!this.streams.length && !this.closed)
			await Promise.race([this.ended, new Promise((resolve) => { this.wake = resolve; })]);
		return this.streams.shift();
	}

	within(ms) {
		return Promise.race([this.ended, wait(ms)]);
	}

	report() {
		return {
			goaway: this.goaway ?? null, resets: this.resets, error: this.error ?? null,
			closed: Boolean(this.closed || this.fin), lived_ms: this.lived_ms ?? null,
			sent_kib: Math.round(this.sent / 1024), requests: this.streams.length,
		};
	}
}

// ---- what should have happened ----

// The connection ends with one of these codes.
const ends = (...codes) => (report) => {
	if (!report.closed)
		return 'the connection stays';
	// A node that hangs up while more is coming cannot make sure that its last words arrive.
	if (report.goaway === null)
		return report.error ? '' : 'no GOAWAY';
	return codes.includes(report.goaway) ? '' : `GOAWAY with ${report.goaway}`;
};
const hangsUp = (report) => report.closed ? '' : 'the connection stays';
// Only the stream ends, so whoever shares the connection goes on; or the whole connection does.
const resets = (...codes) => (report) => {
	const got = Object.keys(report.resets).map(Number);
	if (got.some((code) => codes.includes(code)))
		return '';
	return report.closed ? ends(...codes)(report) : `resets with ${got.join(', ') || 'nothing'}`;
};
const stays = (report) => report.closed ? `the connection ends: ${report.goaway}` : '';
const replaced = (report) => report.connections > 2 ? '' : 'no other connection in its place';

// ---- attacks that either side can make ----

const pieces = (stream) => many(frame(TYPE.CONTINUATION, 0, stream, literal(1000)));
const open = (victim, stream) => victim.say(request(stream, PING));

const PONGS = ['knpi\x01\0\0\0', 'knpi\0\0\0\0', 'knhb\x01\0\0\0', 'knhb\xff\xff\xff\xff'].map(
	(opaque) => frame(TYPE.PING, FLAG.ACK, 0, Buffer.from(opaque, 'latin1')));

const common = {
	garbage: {
		run: (victim) => victim.flood(() => Buffer.alloc(CHUNK_BYTES, 0xff)),
		wrong: ends(CODE.PROTOCOL_ERROR, CODE.FRAME_SIZE_ERROR),
	},
	pings: {
		run: (victim) => victim.flood(() => many(frame(TYPE.PING, 0, 0, Buffer.alloc(8)))),
		wrong: ends(CODE.ENHANCE_YOUR_CALM),
	},
	settings: {
		run: (victim) => victim.flood(() => many(settings({ 4: 65535 }))),
		wrong: ends(CODE.ENHANCE_YOUR_CALM),
	},
	'window-updates': {
		run: (victim) => victim.flood((i) => many(frame(TYPE.WINDOW_UPDATE, 0, 0, u32(1)))),
		wrong: ends(CODE.ENHANCE_YOUR_CALM),
	},
	'window-overflow': {
		run: async (victim) => victim.say(many(frame(TYPE.WINDOW_UPDATE, 0, 0, u32(GIB2)), 100)),
		wrong: ends(CODE.FLOW_CONTROL_ERROR),
	},
	priorities: {
		run: (victim) => victim.flood(() => many(frame(TYPE.PRIORITY, 0, 1, Buffer.from([0, 0, 0, 0, 9])))),
		wrong: ends(CODE.ENHANCE_YOUR_CALM),
	},
	unknown: { // frames of a type that nobody knows are to be ignored, which costs no more than reading them
		run: (victim) => victim.flood(() => many(frame(0xbe, 0, 0, Buffer.alloc(0)))),
		wrong: stays,
	},
	pongs: { // which nobody asked for, as those that a node waits for begin; reading them is all that they cost
		run: (victim) => victim.flood((i) => many(PONGS[i % PONGS.length]), 1 << 20),
		wrong: stays,
	},
	'pings-unread': { // and never reads the answers
		run: async (victim) => {
			victim.socket.pause();
			await victim.flood(() => many(frame(TYPE.PING, 0, 0, Buffer.alloc(8))));
			victim.socket.resume();
		},
		wrong: hangsUp,
	},
};

// ---- attacks of a client ----

const asClient = {
	...common,
	mute: { hello: false, ms: SETUP_MS, run: async () => {}, wrong: hangsUp },
	'mute-tcp': { hello: false, bare: true, ms: SETUP_MS, run: async () => {}, wrong: hangsUp },
	'no-preface': { ...common.garbage, hello: false },
	continuations: {
		run: async (victim) => {
			victim.say(frame(TYPE.HEADERS, 0, 1, requestHead(PING)));
			await victim.flood(() => pieces(1));
		},
		wrong: ends(CODE.ENHANCE_YOUR_CALM, CODE.PROTOCOL_ERROR, CODE.COMPRESSION_ERROR),
	},
	'empty-continuations': {
		run: async (victim) => {
			victim.say(frame(TYPE.HEADERS, 0, 1, requestHead(PING)));
			await victim.flood(() => many(frame(TYPE.CONTINUATION, 0, 1)));
		},
		wrong: ends(CODE.ENHANCE_YOUR_CALM, CODE.PROTOCOL_ERROR),
	},
	'long-heads': { // 24 KiB each
		run: (victim) => victim.flood((i) => Buffer.concat([
			frame(TYPE.HEADERS, 0, 2 * i + 1, Buffer.concat([requestHead(PING), literal(12000)])),
			frame(TYPE.CONTINUATION, FLAG.END_HEADERS, 2 * i + 1, literal(12000))]), 1 << 20),
		wrong: resets(CODE.ENHANCE_YOUR_CALM, CODE.PROTOCOL_ERROR, CODE.REFUSED_STREAM, CODE.CANCEL),
	},
	'hpack-bomb': { // one entry of 4,000 bytes in the table, then one byte for each more
		run: async (victim) => {
			const big = Buffer.concat([Buffer.from([0x40]), literal(3900).subarray(1)]);
			victim.say(frame(TYPE.HEADERS, FLAG.END_HEADERS, 1,
				Buffer.concat([requestHead(PING), big, Buffer.alloc(8000, 0xbe)])));
		},
		wrong: resets(CODE.ENHANCE_YOUR_CALM, CODE.PROTOCOL_ERROR, CODE.REFUSED_STREAM, CODE.CANCEL),
	},
	'rapid-reset': {
		run: (victim) => {
			let stream = 1;
			const one = () => {
				const both = [request(stream, PING, { end: true }), frame(TYPE.RST_STREAM, 0, stream, u32(CODE.CANCEL))];
				stream += 2;
				return Buffer.concat(both);
			};
			return victim.flood(() => Buffer.concat(Array.from({ length: 100 }, one)));
		},
		wrong: ends(CODE.ENHANCE_YOUR_CALM),
	},
	'streams': { // opened, and never ended
		run: (victim) => victim.flood((i) => request(2 * i + 1, PING), 256 << 10),
		wrong: resets(CODE.REFUSED_STREAM, CODE.PROTOCOL_ERROR, CODE.ENHANCE_YOUR_CALM),
	},
	'empty-data': {
		run: async (victim) => {
			open(victim, 1);
			await victim.flood(() => many(frame(TYPE.DATA, 0, 1)));
		},
		wrong: ends(CODE.ENHANCE_YOUR_CALM),
	},
	'idle-stream': {
		run: async (victim) => victim.say(frame(TYPE.DATA, 0, 101, Buffer.alloc(10))),
		wrong: ends(CODE.PROTOCOL_ERROR, CODE.STREAM_CLOSED),
	},
	'slow-reader': { // asks much, and lets nothing come
		run: async (victim) => {
			victim.say(settings({ 4: 0 }));
			for (let i = 0; i < 200; i++)
				victim.say(request(2 * i + 1, '/knell.v1.Peer/StorageInfo'),
					frame(TYPE.DATA, FLAG.END_STREAM, 2 * i + 1, message(Buffer.alloc(0))));
			await victim.within(1500);
		},
		wrong: stays,
	},
	connections: { alone: crowd },
	'messages-unfinished': { alone: messagesUnfinished },
	'message-2gib': { alone: message2Gib },
};

// ---- attacks of a server ----

const okHead = Buffer.concat([Buffer.from([0x88]), fields([['content-type', 'application/grpc']])]);
const respond = (stream) => frame(TYPE.HEADERS, FLAG.END_HEADERS, stream, okHead);

// Does `answer` to every request until the connection ends.
const toEach = (answer) => async (victim) => {
	for (let stream; (stream = await victim.nextRequest()) !== undefined;) {
		await answer(victim, stream);
		await victim.within(100);
		victim.done = true;
	}
};

const asServer = {
	...common,
	mute: { hello: false, run: async () => {}, wrong: hangsUp, ms: SETUP_MS },
	'mute-calls': { run: async () => {}, wrong: stays },
	'mute-all': { polite: false, run: async () => {}, wrong: hangsUp, ms: SETUP_MS },
	'pongs-early': { // before the node can have asked for anything, since its SETTINGS are not acknowledged
		hello: false,
		run: async (victim) => {
			victim.say(settings(), ...PONGS);
			await victim.within(50);
			victim.say(...PONGS, frame(TYPE.SETTINGS, FLAG.ACK, 0), ...PONGS);
		},
		wrong: stays,
	},
	continuations: {
		run: toEach(async (victim, stream) => {
			victim.say(frame(TYPE.HEADERS, 0, stream, okHead));
			await victim.flood(() => pieces(stream));
		}),
		wrong: ends(CODE.ENHANCE_YOUR_CALM, CODE.PROTOCOL_ERROR, CODE.COMPRESSION_ERROR),
	},
	'long-heads': {
		run: toEach((victim, stream) => victim.say(
			frame(TYPE.HEADERS, 0, stream, Buffer.concat([okHead, literal(12000)])),
			frame(TYPE.CONTINUATION, FLAG.END_HEADERS, stream, literal(12000)))),
		wrong: resets(CODE.ENHANCE_YOUR_CALM, CODE.PROTOCOL_ERROR, CODE.CANCEL),
	},
	'endless-1xx': {
		run: toEach((victim, stream) => victim.flood(() =>
			many(frame(TYPE.HEADERS, FLAG.END_HEADERS, stream, fields([[':status', '103']]))))),
		wrong: ends(CODE.ENHANCE_YOUR_CALM),
	},
	'message-2gib': {
		run: toEach(async (victim, stream) => {
			victim.say(respond(stream), frame(TYPE.DATA, 0, stream, message(Buffer.alloc(0), GIB2)));
			await victim.flood(() => frame(TYPE.DATA, 0, stream, Buffer.alloc(10000)), 40000);
		}),
		wrong: resets(CODE.CANCEL, CODE.ENHANCE_YOUR_CALM, CODE.INTERNAL_ERROR),
	},
	'message-garbage': { // well framed, but no protobuf; with the status of a success
		run: toEach((victim, stream) => victim.say(respond(stream),
			frame(TYPE.DATA, 0, stream, message(Buffer.alloc(1000, 0xff))),
			frame(TYPE.HEADERS, FLAG.END_HEADERS | FLAG.END_STREAM, stream, fields([['grpc-status', '0']])))),
		wrong: stays, // what a method makes of it is no matter of the connection
	},
	'messages-endless': { // a unary call is answered again and again
		run: toEach((victim, stream) => {
			victim.say(respond(stream));
			return victim.flood(() => many(frame(TYPE.DATA, 0, stream, message(Buffer.alloc(0))), 4096), 60000, 1000);
		}),
		wrong: resets(CODE.CANCEL),
	},
	'empty-data': {
		run: toEach(async (victim, stream) => {
			victim.say(respond(stream));
			await victim.flood(() => many(frame(TYPE.DATA, 0, stream)));
		}),
		wrong: resets(CODE.ENHANCE_YOUR_CALM, CODE.CANCEL),
	},
	'no-status': {
		run: toEach((victim, stream) => victim.say(respond(stream), frame(TYPE.DATA, FLAG.END_STREAM, stream))),
		wrong: hangsUp,
	},
	reset: {
		run: toEach((victim, stream) => victim.say(frame(TYPE.RST_STREAM, 0, stream, u32(CODE.REFUSED_STREAM)))),
		wrong: stays,
	},
	push: {
		run: toEach((victim, stream) => victim.say(frame(TYPE.PUSH_PROMISE, FLAG.END_HEADERS, stream,
			Buffer.concat([u32(2), requestHead(PING)])))),
		wrong: ends(CODE.PROTOCOL_ERROR),
	},
	goaway: {
		run: toEach((victim) => victim.say(frame(TYPE.GOAWAY, 0, 0, u32(0, CODE.NO_ERROR)))),
		wrong: hangsUp,
	},
	'goaway-stays': { // and lets a call wait on, with which the connection must not be kept
		run: toEach((victim) => victim.say(frame(TYPE.GOAWAY, 0, 0, u32(GIB2, CODE.NO_ERROR)))),
		wrong: replaced,
	},
};

// ---- running them ----

function identity(dir, name) {
	const read = (file) => fs.readFileSync(path.join(dir, file));
	return { ca: read('ca.pem'), cert: read(`${name}.pem`), key: read(`${name}.key`) };
}

function say(what) {
	process.stdout.write(JSON.stringify(what) + '\n');
}

// A call by a client whose HTTP/2 is correct: `status` and `code` are there when it is over.
function correctCall(session, more = {}) {
	const stream = session.request({
		':method': 'POST', ':path': PING, 'content-type': 'application/grpc', te: 'trailers', ...more });
	const call = { stream, status: null, code: null };
	const heads = (head) => {
		if (head['grpc-status'] !== undefined)
			call.status = Number(head['grpc-status']);
	};
	stream.on('response', heads);
	stream.on('trailers', heads);
	stream.on('error', () => {});
	call.ended = new Promise((resolve) => {
		stream.on('close', () => {
			call.code = stream.rstCode;
			resolve();
		});
	});
	stream.resume();
	return call;
}

function correctSession(options) {
	const session = http2.connect(`https://${options.host}:${options.port}`,
		{ maxSessionMemory: SESSION_MIB, ...options });
	session.on('error', () => {});
	return session;
}

// Endless data of a message that announces 2 GiB.
async function message2Gib(options) {
	const session = correctSession(options), call = correctCall(session), stream = call.stream;
	let sentKib = 0;
	const more = () => {
		while (!stream.destroyed && !stream.writableEnded && sentKib < FLOOD_BYTES >> 10) {
			sentKib += CHUNK_BYTES >> 10;
			if (!stream.write(Buffer.alloc(CHUNK_BYTES)))
				return;
		}
	};
	stream.on('drain', more);
	stream.write(message(Buffer.alloc(0), GIB2));
	more();
	await Promise.race([call.ended, wait(FLOOD_MS)]);
	return { sent_kib: sentKib, status: call.status, code: call.code,
		wrong: call.status === RESOURCE_EXHAUSTED ? '' : `status ${call.status}` };
}

// Many requests as long as is allowed, each but for its last byte: some are refused for all that they
// take together, the others for the time that they take, and the connection goes on.
async function messagesUnfinished(options) {
	const session = correctSession(options), calls = [];
	for (let i = 0; i < UNFINISHED; i++) {
		const call = correctCall(session, { 'grpc-timeout': `${UNFINISHED_S}S` });
		call.stream.write(message(Buffer.alloc(REQUEST_MAX - 1), REQUEST_MAX));
		calls.push(call);
	}
	await Promise.race([Promise.all(calls.map((call) => call.ended)), wait(3000 * UNFINISHED_S)]);
	const statuses = {};
	for (const call of calls)
		statuses[call.status] = (statuses[call.status] || 0) + 1;
	const right = statuses[RESOURCE_EXHAUSTED] && statuses[DEADLINE_EXCEEDED] &&
		statuses[RESOURCE_EXHAUSTED] + statuses[DEADLINE_EXCEEDED] === UNFINISHED;
	const report = { statuses, closed: session.closed || session.destroyed };
	return { ...report, wrong: !right ? 'not all are refused' : report.closed ? 'the connection ends' : '' };
}

// More connections than a node keeps of one peer; each says hello, and nothing more.
async function crowd(options) {
	const kept = new Set();
	let opened = 0;
	const one = () => new Promise((resolve) => {
		const socket = tls.connect(options, () => {
			opened++;
			kept.add(socket);
			socket.write(Buffer.concat([PREFACE, settings(), frame(TYPE.SETTINGS, FLAG.ACK, 0)]));
		});
		socket.once('data', resolve);
		socket.on('error', () => {});
		socket.on('close', () => {
			kept.delete(socket);
			resolve();
		});
		socket.resume();
	});
	const some = async () => {
		while (opened < CONNECTIONS_MAX + CONNECTIONS_MORE)
			await one();
	};
	await Promise.all(Array.from({ length: AT_ONCE }, some));
	await wait(500);
	const report = { opened, kept: kept.size };
	return { ...report, wrong: report.kept === CONNECTIONS_MAX ? '' : `it keeps ${report.kept}` };
}

async function attack(victim, how) {
	await how.run(victim);
	if (how.wrong !== stays)
		await victim.within(how.ms || 3000);
	else
		await victim.within(300);
}

async function client(where, node, dir, name, what) {
	const how = asClient[what];
	const [host, port] = where.split(':');
	const options = { host, port, servername: node, ALPNProtocols: ['h2'], ...identity(dir, name) };
	if (how.alone) {
		say({ attack: what, ...await how.alone(options) });
		process.exit();
	}
	const socket = how.bare ? net.connect(options) : tls.connect(options);
	const victim = new Victim(socket, 0, how);
	await Promise.race([victim.ended, new Promise((resolve) => {
		socket.once(how.bare ? 'connect' : 'secureConnect', resolve);
	})]);
	if (how.hello !== false) {
		victim.say(PREFACE, settings());
		await wait(50);
	}
	await attack(victim, how);
	const report = victim.report();
	say({ attack: what, ...report, wrong: how.wrong(report) });
	process.exit();
}

function server(where, dir, name, controlPort) {
	const [host, port] = where.split(':');
	let what = 'mute-calls', victims = [];

	const serve = async (socket) => {
		const how = asServer[what];
		const victim = new Victim(socket, PREFACE.length, how);
		victims.push(victim);
		if (how.hello !== false) {
			victim.say(settings());
			await wait(20);
		}
		await attack(victim, how);
		victim.done = true;
	};
	tls.createServer({ ...identity(dir, name), requestCert: true, ALPNProtocols: ['h2'] }, serve)
		.on('tlsClientError', () => {}).listen(Number(port), host);

	// Of several connections that met the same attack the first that met it to the end is told of.
	const finish = () => {
		const met = victims.filter((victim) => victim.done || victim.closed);
		const reports = met.map((victim) => ({ connections: victims.length, ...victim.report() }));
		const first = reports.find((report) => asServer[what].wrong(report) === '') || reports[0];
		return { attack: what, ...first,
			wrong: first ? asServer[what].wrong(first) : 'nobody came' };
	};
	net.createServer((control) => {
		control.on('error', () => {});
		control.on('data', (order) => {
			const next = order.toString().trim();
			if (next === 'report') {
				control.end(JSON.stringify(finish()) + '\n');
				return;
			}
			for (const victim of victims)
				victim.socket.destroy();
			what = next;
			victims = [];
			control.end('{}\n');
		});
	}).listen(Number(controlPort), '127.0.0.1', () => say({ event: 'listening' }));
}

const [mode, ...args] = process.argv.slice(2);
if (mode === 'list')
	say(Object.keys(args[0] === 'client' ? asClient : asServer));
else if (mode === 'limit')
	say(CONNECTIONS_MAX);
else if (mode === 'client' && asClient[args[4]])
	client(...args);
else if (mode === 'server')
	server(...args);
else {
	console.error('usage: see the head of hostile.js');
	process.exit(2);
}
