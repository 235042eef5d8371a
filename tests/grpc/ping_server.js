// SPDX-License-Identifier: BSD-2-Clause
//
// ping_server.js - knell.v1.Peer/Ping by grpc-js in the clear, for bench_rpc.sh to measure beside
// knelld's. Prints one line when it listens.
//
// usage: node ping_server.js ADDR:PORT
'use strict';
const { grpc, clients } = require('./knell.js');

const server = new grpc.Server();
const answer = (call, done) => done(null, {});
// Every method of the service wants a handler; only Ping is called.
const { service } = clients({ local: '127.0.0.1:1' }).peer.constructor;
server.addService(service, Object.fromEntries(Object.keys(service).map((name) => [name, answer])));
server.bindAsync(process.argv[2], grpc.ServerCredentials.createInsecure(), (error) => {
	if (error) {
		console.error(`ping_server: cannot listen on ${process.argv[2]}: ${error.message}`);
		process.exit(1);
	}
	console.log('listening');
});
process.on('SIGTERM', () => process.exit());
