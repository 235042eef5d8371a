// SPDX-License-Identifier: BSD-2-Clause
//
// minio.js - minio's client, unmodified, against S3 at URL. One line per case; exit status 1 when one
// is not ok.
//
// usage: node minio.js URL LARGE_BYTES
'use strict';
const assert = require('assert');
const crypto = require('crypto');
const { Readable } = require('stream');
const minio = require('minio');
const { PART_BYTES, UNUSUAL_KEYS, minioClient, bytesOf, listOf, same, run } = require('./common.js');

const client = minioClient(process.argv[2]);
const large = crypto.randomBytes(Number(process.argv[3]));
const small = crypto.randomBytes(3000);
const bucket = 'minio';
const listed = Array.from({ length: 12 }, (_, i) => `list/${i % 3}/${String(i).padStart(2, '0')}`);

const put = (key, body, meta) => client.putObject(bucket, key, body, body.length, meta);
const get = async (key) => bytesOf(await client.getObject(bucket, key));
const names = async (stream) => (await listOf(stream)).map((object) => object.name ?? object.prefix);

run({
	'buckets: created, found, listed': async () => {
		await client.makeBucket(bucket);
		assert(await client.bucketExists(bucket));
		assert(!(await client.bucketExists('nobody')));
		assert((await client.listBuckets()).some(({ name }) => name === bucket));
	},
	'put, get, stat, metadata': async () => {
		await put('dir/small', small, { 'X-Amz-Meta-A': 'b', 'Content-Type': 'text/x-test' });
		same(await get('dir/small'), small);
		const { size, etag, metaData } = await client.statObject(bucket, 'dir/small');
		assert.strictEqual(size, small.length);
		assert.strictEqual(etag, crypto.createHash('md5').update(small).digest('hex'));
		assert.strictEqual(metaData.a, 'b');
		assert.strictEqual(metaData['content-type'], 'text/x-test');
		await put('empty', '');
		same(await get('empty'), Buffer.alloc(0));
	},
	'unusual keys': async () => {
		for (const key of UNUSUAL_KEYS)
			await put(key, Buffer.from(key));
		const found = await names(client.listObjectsV2(bucket, '', true));
		for (const key of UNUSUAL_KEYS) {
			same(await get(key), Buffer.from(key));
			assert(found.includes(key), `${key} is not listed`);
		}
		await client.removeObjects(bucket, UNUSUAL_KEYS);
		assert.deepStrictEqual(await names(client.listObjectsV2(bucket, '', true)), ['dir/small', 'empty']);
	},
	'in parts, from a buffer and from a stream of unknown length': async () => {
		await put('large', large);
		same(await get('large'), large);
		await client.putObject(bucket, 'stream', Readable.from([large.subarray(0, 7000000), large.subarray(7000000)]));
		same(await get('stream'), large);
		assert.match((await client.statObject(bucket, 'stream')).etag, /-\d+$/);
	},
	'parts of objects': async () => {
		same(await bytesOf(await client.getPartialObject(bucket, 'large', 10, 100)), large.subarray(10, 110));
		same(await bytesOf(await client.getPartialObject(bucket, 'large', large.length - 7)), large.subarray(-7));
		same(await bytesOf(await client.getPartialObject(bucket, 'large', PART_BYTES - 5, 10)),
			large.subarray(PART_BYTES - 5, PART_BYTES + 5));
	},
	'lists: v1 and v2, recursive and by folder': async () => {
		for (const key of listed)
			await put(key, small);
		const want = [...listed].sort();
		assert.deepStrictEqual(await names(client.listObjects(bucket, 'list/', true)), want);
		assert.deepStrictEqual(await names(client.listObjectsV2(bucket, 'list/', true)), want);
		assert.deepStrictEqual(await names(client.listObjectsV2(bucket, 'list/', true, want[4])), want.slice(5));
		for (const list of ['listObjects', 'listObjectsV2'])
			assert.deepStrictEqual(await names(client[list](bucket, 'list/', false)), ['list/0/', 'list/1/', 'list/2/']);
	},
	'copy, and compose from others': async () => {
		await client.copyObject(bucket, 'copy', `/${bucket}/large`);
		same(await get('copy'), large);
		const sources = ['large', 'dir/small'].map((Object) => new minio.CopySourceOptions({ Bucket: bucket, Object }));
		await client.composeObject(new minio.CopyDestinationOptions({ Bucket: bucket, Object: 'composed' }), sources);
		same(await get('composed'), Buffer.concat([large, small]));
	},
	'an upload that was begun is listed, and removed': async () => {
		const id = await client.initiateNewMultipartUpload(bucket, 'begun', {});
		const found = await listOf(client.listIncompleteUploads(bucket, '', true));
		assert.deepStrictEqual(found.map(({ key, uploadId }) => [key, uploadId]), [['begun', id]]);
		await client.removeIncompleteUpload(bucket, 'begun');
		assert.deepStrictEqual(await listOf(client.listIncompleteUploads(bucket, '', true)), []);
	},
	'presigned: get and put': async () => {
		const where = await client.presignedPutObject(bucket, 'signed ü+%', 60);
		assert.strictEqual((await fetch(where, { method: 'PUT', body: small })).status, 200);
		const answer = await fetch(await client.presignedGetObject(bucket, 'signed ü+%', 60));
		same(Buffer.from(await answer.arrayBuffer()), small);
	},
	'errors by their codes': async () => {
		await assert.rejects(get('nothing'), { code: 'NoSuchKey' });
		await assert.rejects(client.statObject(bucket, 'nothing'), { code: 'NotFound' });
		await assert.rejects(client.removeBucket(bucket), { code: 'BucketNotEmpty' });
		await assert.rejects(listOf(client.listObjectsV2('nobody', '', true)), { code: 'NoSuchBucket' });
	},
	'everything is deleted, then the bucket': async () => {
		await client.removeObject(bucket, 'copy');
		await client.removeObjects(bucket, await names(client.listObjectsV2(bucket, '', true)));
		assert.deepStrictEqual(await names(client.listObjectsV2(bucket, '', true)), []);
		await client.removeBucket(bucket);
		assert(!(await client.bucketExists(bucket)));
	},
});
