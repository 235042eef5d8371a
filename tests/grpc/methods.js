// SPDX-License-Identifier: BSD-2-Clause
//
// methods.js - call every method of a node as any gRPC client would, and what is no method too. One
// line per case, `ok - text` or `not ok - text: why`; exit status 1 when one is not ok.
//
// usage: node methods.js WHERE SELF PEER...   (WHERE: see target() of knell.js; SELF: the node's name)
'use strict';
const assert = require('assert');
const { grpc, Call, nowNs, parseArgs, clients, unary, firstOf } = require('./knell.js');

const { options, rest } = parseArgs(process.argv.slice(2));
const [self, ...peers] = rest;
const { peer, health, raw } = clients(options);
const bytes = (buffer) => buffer;

// Rejects unless `promise` is refused with this status.
async function refused(promise, ...codes) {
	let answer;
	try {
		answer = await promise;
	} catch (error) {
		assert(codes.includes(error.code), `status ${error.code} (${error.details})`);
		return error;
	}
	throw new Error(`answered: ${JSON.stringify(answer)}`);
}

// A call whose message and method are anything.
function rawCall(path, message, ms = 5000, metadata = new grpc.Metadata()) {
	return new Promise((resolve, reject) => {
		raw.makeUnaryRequest(path, bytes, bytes, message, metadata, { deadline: Call.deadlineIn(ms) },
			(error, answer) => error ? reject(error) : resolve(answer));
	});
}

const { status } = Call;
const cases = {
	'Peer/Ping echoes its payload and tells the clock': async () => {
		const payload = Buffer.from('to and fro');
		const before = nowNs();
		const answer = await unary(peer, 'Ping', { payload });
		assert.deepStrictEqual(answer.payload, payload);
		assert.strictEqual(answer.name, self);
		assert(answer.monotonic_ns >= Number(before) && answer.monotonic_ns <= Number(nowNs()));
		assert(Math.abs(answer.wall_ns / 1e6 - Date.now()) < 10000);
	},
	'Peer/Ping takes 64 KiB, and no more': async () => {
		const payload = Buffer.alloc(65536, 7);
		assert.deepStrictEqual((await unary(peer, 'Ping', { payload })).payload, payload);
		await refused(unary(peer, 'Ping', { payload: Buffer.alloc(65537) }), status.INVALID_ARGUMENT,
			status.RESOURCE_EXHAUSTED);
	},
	'Peer/ServerInfo tells of the node and how it sees its peers': async () => {
		const answer = await unary(peer, 'ServerInfo', {});
		assert.strictEqual(answer.name, self);
		assert.strictEqual(answer.state, 'online');
		assert.deepStrictEqual(Object.keys(answer.network).sort(), [...peers].sort());
		assert(Object.values(answer.network).every((state) => state === 'alive'), JSON.stringify(answer.network));
		assert(answer.version && answer.pid > 0 && answer.cpus > 0 && answer.memory_bytes > 0);
		assert(Math.abs(answer.started + answer.uptime_s - Date.now() / 1000) < 5);
		assert(answer.connections >= peers.length);
	},
	'Peer/StorageInfo tells of its drives': async () => {
		const answer = await unary(peer, 'StorageInfo', {});
		assert.strictEqual(answer.name, self);
		assert(Array.isArray(answer.drives));
		for (const drive of answer.drives)
			assert(drive.path && drive.state, JSON.stringify(drive));
	},
	'Peer/Verdicts begins with how every peer stands': async () => {
		const verdicts = await firstOf(peer, 'Verdicts', {}, peers.length);
		assert.deepStrictEqual(verdicts.map((verdict) => verdict.peer).sort(), [...peers].sort());
		for (const verdict of verdicts) {
			assert(verdict.standing && verdict.node === self && verdict.to === 'alive', JSON.stringify(verdict));
			assert(verdict.heard, 'never heard');
		}
	},
	'Peer/Verdicts of new ones only has nothing to say while all is well': async () => {
		const got = await firstOf(peer, 'Verdicts', { new_only: true }, 1, 500).catch((error) => error);
		assert.strictEqual(got.code, status.DEADLINE_EXCEEDED);
	},
	'Health/Check of the node, its service and each peer: SERVING': async () => {
		for (const service of ['', 'knell.v1.Peer', ...peers.map((name) => `peer/${name}`)])
			assert.strictEqual((await unary(health, 'check', { service })).status, 'SERVING', service);
	},
	'Health/Check of what does not exist: NOT_FOUND': async () => {
		for (const service of ['peer/nobody', 'peer/', 'nothing', `peer/${'x'.repeat(5000)}`])
			await refused(unary(health, 'check', { service }), status.NOT_FOUND);
	},
	'Health/Watch begins with the present status': async () => {
		for (const service of ['', ...peers.map((name) => `peer/${name}`)])
			assert.strictEqual((await firstOf(health, 'watch', { service }, 1))[0].status, 'SERVING');
	},
	'Health/Watch of what does not exist: SERVICE_UNKNOWN, and the stream stays': async () => {
		const [first] = await firstOf(health, 'watch', { service: 'peer/nobody' }, 1);
		assert.strictEqual(first.status, 'SERVICE_UNKNOWN');
		const error = await firstOf(health, 'watch', { service: 'peer/nobody' }, 2, 300).catch((e) => e);
		assert.strictEqual(error.code, status.DEADLINE_EXCEEDED);
	},
	'what is no method: UNIMPLEMENTED': async () => {
		for (const path of ['/knell.v1.Peer/Nothing', '/knell.v1.Nobody/Ping', '/grpc.health.v1.Health/Nothing', '/'])
			await refused(rawCall(path, Buffer.alloc(0)), status.UNIMPLEMENTED);
	},
	'what is no message: INVALID_ARGUMENT': async () => {
		for (const path of ['/knell.v1.Peer/Ping', '/grpc.health.v1.Health/Check'])
			await refused(rawCall(path, Buffer.alloc(100, 0xff)), status.INVALID_ARGUMENT, status.INTERNAL);
	},
	'a message above the limit: RESOURCE_EXHAUSTED': async () => {
		await refused(rawCall('/knell.v1.Peer/Ping', Buffer.alloc(5 << 20)), status.RESOURCE_EXHAUSTED);
	},
	'compressed messages: UNIMPLEMENTED, or understood': async () => {
		const gzip = clients(options, { 'grpc.default_compression_algorithm': 2 });
		await unary(gzip.peer, 'Ping', {}).catch((error) => {
			assert.strictEqual(error.code, status.UNIMPLEMENTED, error.details);
		});
	},
	'metadata that nobody here knows does not matter': async () => {
		const metadata = new grpc.Metadata();
		metadata.set('x-anything', 'y'.repeat(2000));
		metadata.set('trace-bin', Buffer.alloc(100, 1));
		await rawCall('/knell.v1.Peer/Ping', Buffer.alloc(0), 5000, metadata);
	},
	'a deadline that passes ends the call on both sides': async () => {
		const error = await firstOf(health, 'watch', { service: '' }, 2, 100).catch((e) => e);
		assert.strictEqual(error.code, status.DEADLINE_EXCEEDED);
	},
	'200 calls at once, and 200 streams': async () => {
		await Promise.all(Array.from({ length: 200 }, () => unary(peer, 'ServerInfo', {})));
		await Promise.all(Array.from({ length: 200 }, () => firstOf(health, 'watch', { service: '' }, 1)));
	},
};

async function main() {
	for (const [text, body] of Object.entries(cases)) {
		try {
			await body();
			console.log(`ok - ${text}`);
		} catch (error) {
			console.log(`not ok - ${text}: ${error.message.replace(/\s+/g, ' ')}`);
			process.exitCode = 1;
		}
	}
	process.exit();
}

main();
