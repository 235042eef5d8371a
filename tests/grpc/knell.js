// SPDX-License-Identifier: BSD-2-Clause
//
// knell.js - what the gRPC clients of the tests share: where a node is, and how to call it. Uses
// @grpc/grpc-js and the packages beside it, found through NODE_PATH; the health service is taken
// from grpc-health-check, which nobody here wrote.
'use strict';
const fs = require('fs');
const path = require('path');
const grpc = require('@grpc/grpc-js');
const loader = require('@grpc/proto-loader');
const health = require('grpc-health-check');

const PROTO = path.join(__dirname, '../../include/proto');

const peerService = grpc.loadPackageDefinition(
	loader.loadSync('knell/v1/peer.proto', {
		includeDirs: [PROTO], keepCase: true, longs: Number, enums: String, defaults: true,
	})).knell.v1.Peer;
const healthService = grpc.makeGenericClientConstructor(health.service, 'Health');

const Call = { status: grpc.status, deadlineIn: (ms) => new Date(Date.now() + ms) };

// CLOCK_MONOTONIC, which stamps knell's verdicts too.
function nowNs() {
	return process.hrtime.bigint();
}

// The words of the command line: `--name value` pairs, then the rest.
function parseArgs(argv) {
	const options = {}, rest = [];
	for (let i = 0; i < argv.length; i++) {
		if (argv[i].startsWith('--'))
			options[argv[i].slice(2)] = argv[++i];
		else
			rest.push(argv[i]);
	}
	return { options, rest };
}

// Where to call. `--local unix:PATH|ADDR:PORT`: in the clear. `--node NAME --at ADDR:PORT --dir DIR
// --as NAME`: over TLS, with the certificate of --as, which are files as `knell cert` makes them.
function target(options) {
	if (options.local)
		return { at: options.local, credentials: grpc.credentials.createInsecure(), channel: {} };
	const read = (file) => fs.readFileSync(path.join(options.dir, file));
	return {
		at: options.at,
		credentials: grpc.credentials.createSsl(read('ca.pem'), read(`${options.as}.key`),
			read(`${options.as}.pem`)),
		channel: { 'grpc.ssl_target_name_override': options.node },
	};
}

function clients(options, channel = {}) {
	const to = target(options);
	const all = { 'grpc.enable_retries': 0, ...to.channel, ...channel };
	return {
		peer: new peerService(to.at, to.credentials, all),
		health: new healthService(to.at, to.credentials, all),
		raw: new grpc.Client(to.at, to.credentials, all),
	};
}

// One unary call, as a promise of the answer.
function unary(client, method, request, ms = 5000) {
	return new Promise((resolve, reject) => {
		client[method](request, { deadline: Call.deadlineIn(ms) },
			(error, answer) => error ? reject(error) : resolve(answer));
	});
}

// The first `count` messages of a stream, which is then cancelled.
function firstOf(client, method, request, count, ms = 5000) {
	return new Promise((resolve, reject) => {
		const got = [];
		const stream = client[method](request, { deadline: Call.deadlineIn(ms) });
		stream.on('data', (message) => {
			got.push(message);
			if (got.length === count) {
				resolve(got);
				stream.cancel();
			}
		});
		stream.on('end', () => resolve(got));
		stream.on('error', (error) => {
			if (got.length < count)
				reject(error);
		});
	});
}

module.exports = { grpc, Call, nowNs, parseArgs, clients, unary, firstOf };
