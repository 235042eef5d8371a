// SPDX-License-Identifier: BSD-2-Clause
//
// frames.js - HTTP/2 frames (RFC 9113) as bytes, well-formed or not, and a reader of what comes back.
// For hostile.js: a library would refuse to say most of this.
'use strict';

const TYPE = {
	DATA: 0, HEADERS: 1, PRIORITY: 2, RST_STREAM: 3, SETTINGS: 4, PUSH_PROMISE: 5, PING: 6, GOAWAY: 7,
	WINDOW_UPDATE: 8, CONTINUATION: 9,
};
const FLAG = { END_STREAM: 1, ACK: 1, END_HEADERS: 4 };
const PREFACE = Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n');
const HEAD_BYTES = 9;

function frame(type, flags, stream, payload = Buffer.alloc(0)) {
	const head = Buffer.alloc(HEAD_BYTES);
	head.writeUIntBE(payload.length, 0, 3);
	head[3] = type;
	head[4] = flags;
	head.writeUInt32BE(stream, 5);
	return Buffer.concat([head, payload]);
}

function u32(...numbers) {
	const bytes = Buffer.alloc(4 * numbers.length);
	numbers.forEach((number, i) => bytes.writeUInt32BE(number, 4 * i));
	return bytes;
}

// SETTINGS from {identifier: value}.
function settings(values = {}) {
	return frame(TYPE.SETTINGS, 0, 0, Buffer.concat(Object.entries(values).map(([id, value]) =>
		Buffer.concat([Buffer.from([0, Number(id)]), u32(value)]))));
}

// An HPACK string or integer without Huffman and without the dynamic table (RFC 7541, 5).
function hpackInt(value, prefixBits) {
	const limit = (1 << prefixBits) - 1, bytes = [];
	if (value < limit)
		return Buffer.from([value]);
	bytes.push(limit);
	for (value -= limit; value >= 128; value >>>= 7)
		bytes.push(value & 127 | 128);
	bytes.push(value);
	return Buffer.from(bytes);
}

function hpackString(text) {
	const bytes = Buffer.from(text);
	return Buffer.concat([hpackInt(bytes.length, 7), bytes]);
}

function fields(pairs) {
	return Buffer.concat(pairs.map(([name, value]) =>
		Buffer.concat([Buffer.from([0]), hpackString(name), hpackString(value)])));
}

const requestHead = (path, more = []) => fields([
	[':method', 'POST'], [':scheme', 'https'], [':path', path], [':authority', 'knell'],
	['content-type', 'application/grpc'], ['te', 'trailers'], ...more,
]);

const request = (stream, path, { end = false } = {}) => frame(TYPE.HEADERS,
	FLAG.END_HEADERS | (end ? FLAG.END_STREAM : 0), stream, requestHead(path));

// A gRPC message: flag, length as announced, and the bytes that do come.
const message = (bytes, announced = bytes.length) => Buffer.concat([Buffer.from([0]), u32(announced), bytes]);

// Reads frames out of chunks; calls on(type, flags, stream, payload).
class Reader {
	constructor(on, skip = 0) {
		this.on = on;
		this.skip = skip; // a preface
		this.held = Buffer.alloc(0);
	}

	take(chunk) {
		this.held = Buffer.concat([this.held, chunk]);
		if (this.skip) {
			if (this.held.length < this.skip)
				return;
			this.held = this.held.subarray(this.skip);
			this.skip = 0;
		}
		while (this.held.length >= HEAD_BYTES) {
			const end = HEAD_BYTES + this.held.readUIntBE(0, 3);
			if (this.held.length < end)
				return;
			const taken = this.held.subarray(0, end);
			this.held = this.held.subarray(end);
			this.on(taken[3], taken[4], taken.readUInt32BE(5) & 0x7fffffff, taken.subarray(HEAD_BYTES));
		}
	}
}

module.exports = {
	TYPE, FLAG, PREFACE, HEAD_BYTES, frame, u32, settings, fields, requestHead, request, message, Reader,
};
