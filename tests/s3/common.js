// SPDX-License-Identifier: BSD-2-Clause
//
// common.js - what the S3 clients of npm need: who they are, and cases of which each prints one line,
// `ok - text` or `not ok - text: why`.
'use strict';
const assert = require('assert');

const credentials = {
	accessKeyId: process.env.AWS_ACCESS_KEY_ID,
	secretAccessKey: process.env.AWS_SECRET_ACCESS_KEY,
};
const PART_BYTES = 5 << 20;

// The clients themselves, unmodified, both with parts of the least size that there is.
function awsClient(url) {
	const { S3Client } = require('@aws-sdk/client-s3');
	return new S3Client({ endpoint: url, region: 'us-east-1', forcePathStyle: true, credentials,
		maxAttempts: Number(process.env.S3_ATTEMPTS ?? 1) });
}

function minioClient(url) {
	const { Client } = require('minio');
	const { hostname, port, protocol } = new URL(url);
	return new Client({
		endPoint: hostname,
		port: Number(port),
		useSSL: protocol === 'https:',
		accessKey: credentials.accessKeyId,
		secretKey: credentials.secretAccessKey,
		partSize: PART_BYTES,
	});
}

async function bytesOf(stream) {
	const pieces = [];
	for await (const piece of stream)
		pieces.push(piece);
	return Buffer.concat(pieces);
}

async function listOf(stream) {
	const items = [];
	for await (const item of stream)
		items.push(item);
	return items;
}

function same(got, want) {
	assert(Buffer.compare(Buffer.from(got), want) === 0, `${got.length} bytes are not the ${want.length} that were put`);
}

// Keys that are easily spoilt on their way: by encoding them twice, or not at all.
const UNUSUAL_KEYS = [
	'a space', 'plus+plus', 'per%cent', '%41%2F', 'a&b=c?d#e', 'quote\'"', '<xml>&amp;', 'back\\slash', 'tilde~!*()',
	'ünïcödé', '日本語/テスト', '🙂', 'e\u0301', 'dots/..hidden/...', 'two//slashes', 'ends/', ' leads', 'trails ',
	'semi;colon:comma,at@', '$dollar|pipe^caret`tick', '[brackets]{braces}', 'k'.repeat(1024),
];

async function run(cases) {
	for (const [text, body] of Object.entries(cases)) {
		try {
			await body();
			console.log(`ok - ${text}`);
		} catch (error) {
			console.log(`not ok - ${text}: ${`${error.name}: ${error.message}`.replace(/\s+/g, ' ')}`);
			process.exitCode = 1;
		}
	}
	process.exit();
}

module.exports = { PART_BYTES, UNUSUAL_KEYS, awsClient, minioClient, bytesOf, listOf, same, run };
