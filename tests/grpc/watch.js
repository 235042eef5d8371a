// SPDX-License-Identifier: BSD-2-Clause
//
// watch.js - follow a node's stream as any program on the host might: one JSON line per message, with
// ts_ns, when it came. test_grpc.sh compares that with the verdict's stamp.
//
// usage: node watch.js WHERE health SERVICE | verdicts   (WHERE: see target() of knell.js)
'use strict';
const { Call, nowNs, parseArgs, clients } = require('./knell.js');

const { options, rest } = parseArgs(process.argv.slice(2));
const { peer, health } = clients(options);
const stream = rest[0] === 'health' ? health.watch({ service: rest[1] }) : peer.Verdicts({});

function say(what) {
	process.stdout.write(JSON.stringify({ ts_ns: Number(nowNs()), ...what }) + '\n');
}

stream.on('data', say);
stream.on('error', (error) => {
	say({ error: error.code, words: error.details });
	process.exitCode = error.code === Call.status.CANCELLED ? 0 : 1;
});
process.on('SIGTERM', () => stream.cancel());
