// SPDX-License-Identifier: BSD-2-Clause
//
// clients.js - the S3 clients of npm, unmodified: @aws-sdk/client-s3 (with lib-storage and the
// presigner) and minio. One line per case, `ok - text` or `not ok - text: why`; exit status 1 when
// one is not ok.
//
// usage: node clients.js URL BYTES   (BYTES: of the large object)
'use strict';
const assert = require('assert');
const crypto = require('crypto');
const { Readable } = require('stream');
const sdk = require('@aws-sdk/client-s3');
const { Upload } = require('@aws-sdk/lib-storage');
const { getSignedUrl } = require('@aws-sdk/s3-request-presigner');
const minio = require('minio');

const url = new URL(process.argv[2]);
const large = crypto.randomBytes(Number(process.argv[3]));
const small = crypto.randomBytes(3000);
const accessKeyId = process.env.KNELL_ROOT_USER;
const secretAccessKey = process.env.KNELL_ROOT_PASSWORD;
let failed = false;

async function run(text, test) {
	try {
		await test();
		console.log(`ok - ${text}`);
	} catch (error) {
		failed = true;
		console.log(`not ok - ${text}: ${error.name}: ${error.message}`);
	}
}

async function bytesOf(stream) {
	const pieces = [];
	for await (const piece of stream)
		pieces.push(piece);
	return Buffer.concat(pieces);
}

function same(got, want) {
	assert(Buffer.compare(got, want) === 0, `${got.length} bytes are not the ${want.length} that were put`);
}

// ---- @aws-sdk/client-s3 ----

const aws = new sdk.S3Client({
	endpoint: url.href,
	region: 'us-east-1',
	forcePathStyle: true,
	credentials: { accessKeyId, secretAccessKey },
	maxAttempts: 1,
});
const Bucket = 'aws-sdk';
const send = (Command, input) => aws.send(new Command({ Bucket, ...input }));
const get = async (input) => Buffer.from(await (await send(sdk.GetObjectCommand, input)).Body.transformToByteArray());

async function awsSingle() {
	await send(sdk.CreateBucketCommand);
	for (const ChecksumAlgorithm of [undefined, 'CRC32', 'CRC32C', 'CRC64NVME', 'SHA1', 'SHA256']) {
		const Key = `sum/${ChecksumAlgorithm} ü+&=`;
		await send(sdk.PutObjectCommand, { Key, Body: small, ChecksumAlgorithm, Metadata: { a: 'b' } });
		same(await get({ Key, ChecksumMode: 'ENABLED' }), small);
	}
	same(await get({ Key: 'sum/SHA1 ü+&=', Range: 'bytes=100-199' }), small.subarray(100, 200));
	const head = await send(sdk.HeadObjectCommand, { Key: 'sum/SHA1 ü+&=' });
	assert.deepStrictEqual(head.Metadata, { a: 'b' });
	assert.strictEqual(head.ContentLength, small.length);
}

// A stream of unknown length goes in parts, each with a checksum behind it.
async function awsParts() {
	const params = { Bucket, Key: 'large', Body: Readable.from([large.subarray(0, 7000000), large.subarray(7000000)]) };
	await new Upload({ client: aws, params, partSize: 5 << 20 }).done();
	same(await get({ Key: 'large' }), large);
	await send(sdk.CopyObjectCommand, { Key: 'copy', CopySource: `${Bucket}/large` });
	same(await get({ Key: 'copy' }), large);
	const { UploadId } = await send(sdk.CreateMultipartUploadCommand, { Key: 'parts' });
	const part = { Key: 'parts', UploadId, PartNumber: 1 };
	const copied = await send(sdk.UploadPartCopyCommand, { ...part, CopySource: `${Bucket}/large`, CopySourceRange: 'bytes=0-5242879' });
	const last = await send(sdk.UploadPartCommand, { ...part, PartNumber: 2, Body: small });
	assert.strictEqual((await send(sdk.ListPartsCommand, part)).Parts.length, 2);
	assert.strictEqual((await send(sdk.ListMultipartUploadsCommand)).Uploads.length, 1);
	const Parts = [{ PartNumber: 1, ETag: copied.CopyPartResult.ETag }, { PartNumber: 2, ETag: last.ETag }];
	await send(sdk.CompleteMultipartUploadCommand, { Key: 'parts', UploadId, MultipartUpload: { Parts } });
	same(await get({ Key: 'parts' }), Buffer.concat([large.subarray(0, 5242880), small]));
	const again = await send(sdk.CreateMultipartUploadCommand, { Key: 'gone' });
	await send(sdk.AbortMultipartUploadCommand, { Key: 'gone', UploadId: again.UploadId });
	await assert.rejects(send(sdk.ListPartsCommand, { Key: 'gone', UploadId: again.UploadId }), { name: 'NoSuchUpload' });
}

async function awsLists() {
	const keys = Array.from({ length: 25 }, (_, i) => `list/${i % 5}/${i}`);
	await Promise.all(keys.map((Key) => send(sdk.PutObjectCommand, { Key, Body: Key })));
	const found = [];
	for await (const page of sdk.paginateListObjectsV2({ client: aws, pageSize: 4 }, { Bucket, Prefix: 'list/' }))
		found.push(...page.Contents.map((object) => object.Key));
	assert.deepStrictEqual(found, keys.sort());
	const folders = await send(sdk.ListObjectsCommand, { Prefix: 'list/', Delimiter: '/' });
	assert.strictEqual(folders.CommonPrefixes.length, 5);
	const gone = await send(sdk.DeleteObjectsCommand, { Delete: { Objects: keys.map((Key) => ({ Key })) } });
	assert.strictEqual(gone.Deleted.length, 25);
	assert.strictEqual((await send(sdk.ListObjectsV2Command, { Prefix: 'list/' })).KeyCount, 0);
}

async function awsErrors() {
	await assert.rejects(get({ Key: 'nothing' }), { name: 'NoSuchKey' });
	await assert.rejects(send(sdk.ListObjectsV2Command, { Bucket: 'nobody' }), { name: 'NoSuchBucket' });
	await assert.rejects(send(sdk.DeleteBucketCommand), { name: 'BucketNotEmpty' });
	await assert.rejects(send(sdk.PutObjectCommand, { Key: 'bad', Body: small, ChecksumCRC32: 'AAAAAA==' }), { name: 'BadDigest' });
	await assert.rejects(get({ Key: 'bad' }), { name: 'NoSuchKey' });
}

async function awsPresigned() {
	const put = await getSignedUrl(aws, new sdk.PutObjectCommand({ Bucket, Key: 'signed' }), { expiresIn: 60 });
	assert.strictEqual((await fetch(put, { method: 'PUT', body: small })).status, 200);
	const link = await getSignedUrl(aws, new sdk.GetObjectCommand({ Bucket, Key: 'signed', ResponseContentType: 'text/x' }), { expiresIn: 60 });
	const answer = await fetch(link);
	assert.strictEqual(answer.headers.get('content-type'), 'text/x');
	same(Buffer.from(await answer.arrayBuffer()), small);
	assert.strictEqual((await fetch(link.replace('signed', 'larger'))).status, 403);
}

// ---- minio ----

async function minioAll() {
	const client = new minio.Client({
		endPoint: url.hostname,
		port: Number(url.port),
		useSSL: url.protocol === 'https:',
		accessKey: accessKeyId,
		secretKey: secretAccessKey,
		partSize: 5 << 20,
	});
	await client.makeBucket('minio');
	assert(await client.bucketExists('minio'));
	assert(!(await client.bucketExists('nobody')));
	await client.putObject('minio', 'dir/small ü', small, small.length, { 'X-Amz-Meta-A': 'b' });
	same(await bytesOf(await client.getObject('minio', 'dir/small ü')), small);
	assert.strictEqual((await client.statObject('minio', 'dir/small ü')).metaData.a, 'b');
	await client.putObject('minio', 'large', Readable.from([large]), large.length);
	same(await bytesOf(await client.getObject('minio', 'large')), large);
	same(await bytesOf(await client.getPartialObject('minio', 'large', 10, 100)), large.subarray(10, 110));
	await client.copyObject('minio', 'copy', '/minio/large');
	const names = [];
	for await (const object of client.listObjectsV2('minio', '', true))
		names.push(object.name);
	assert.deepStrictEqual(names, ['copy', 'dir/small ü', 'large']);
	same(Buffer.from(await (await fetch(await client.presignedGetObject('minio', 'copy', 60))).arrayBuffer()), large);
	await client.removeIncompleteUpload('minio', 'large');
	await client.removeObjects('minio', names);
	await client.removeBucket('minio');
}

(async () => {
	await run('@aws-sdk/client-s3: every checksum, metadata, ranges', awsSingle);
	await run('@aws-sdk/client-s3: parts, copies of parts, abort', awsParts);
	await run('@aws-sdk/client-s3: lists in pages, folders, many deleted', awsLists);
	await run('@aws-sdk/client-s3: errors by their names', awsErrors);
	await run('@aws-sdk/client-s3: presigned', awsPresigned);
	await run('minio: put, get, stat, parts, copy, list, presigned, delete', minioAll);
	process.exit(failed ? 1 : 0);
})();
