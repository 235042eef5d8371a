// SPDX-License-Identifier: BSD-2-Clause
//
// load.js - a steady load of unary calls, each of which is timed: one Ping every MS milliseconds until
// SIGTERM, then one JSON line. Tests run it beside trouble that must not be felt.
//
// usage: node load.js WHERE MS   (WHERE: see target() of knell.js)
'use strict';
const { nowNs, parseArgs, clients, unary } = require('./knell.js');

const { options, rest } = parseArgs(process.argv.slice(2));
const { peer } = clients(options);
const took_ms = [], errors = {};
let begun = 0, running = false, stopping = false;

async function ping() {
	const start = nowNs();
	begun++;
	try {
		await unary(peer, 'Ping', {});
	} catch (error) {
		errors[error.details] = (errors[error.details] || 0) + 1;
	}
	took_ms.push(Number(nowNs() - start) / 1e6);
	if (!running)
		console.log(JSON.stringify({ event: 'running', errors }));
	running = true;
	finish();
}

function finish() {
	if (!stopping || took_ms.length < begun)
		return;
	took_ms.sort((a, b) => a - b);
	const rank = (q) => took_ms[Math.max(Math.ceil(took_ms.length * q), 1) - 1];
	console.log(JSON.stringify({
		event: 'done', calls: begun, failed: Object.values(errors).reduce((a, b) => a + b, 0), errors,
		p50: rank(0.5), p99: rank(0.99), max: rank(1),
	}));
	process.exit();
}

const timer = setInterval(ping, Number(rest[0]));
process.on('SIGTERM', () => {
	clearInterval(timer);
	stopping = true;
	finish();
});
