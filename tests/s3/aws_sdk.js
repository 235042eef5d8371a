// SPDX-License-Identifier: BSD-2-Clause
//
// aws_sdk.js - @aws-sdk/client-s3, with lib-storage and the presigner, unmodified, against S3 at URL. One
// line per case; exit status 1 when one is not ok.
//
// usage: node aws_sdk.js URL LARGE_BYTES
'use strict';
const assert = require('assert');
const crypto = require('crypto');
const { Readable } = require('stream');
const sdk = require('@aws-sdk/client-s3');
const { Upload } = require('@aws-sdk/lib-storage');
const { getSignedUrl } = require('@aws-sdk/s3-request-presigner');
const { PART_BYTES, UNUSUAL_KEYS, awsClient, same, run } = require('./common.js');

const aws = awsClient(process.argv[2]);
const large = crypto.randomBytes(Number(process.argv[3]));
const small = crypto.randomBytes(3000);
const Bucket = 'aws-sdk';
const ALGORITHMS = { CRC32: 4, CRC32C: 4, CRC64NVME: 8, SHA1: 20, SHA256: 32 };

const send = (Command, input) => aws.send(new Command({ Bucket, ...input }));
const put = (Key, Body, more) => send(sdk.PutObjectCommand, { Key, Body, ...more });
const get = async (Key, more) => (await send(sdk.GetObjectCommand, { Key, ...more })).Body.transformToByteArray();
const signed = (Command, input) => getSignedUrl(aws, new Command({ Bucket, ...input }), { expiresIn: 60 });
const keysOf = (answer) => (answer.Contents ?? []).map((object) => object.Key);
// As S3 sorts: by bytes, not by UTF-16.
const byBytes = (keys) => [...keys].sort((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)));

async function allKeys(page, input) {
	const keys = [];
	for await (const answer of page({ client: aws, pageSize: 4 }, { Bucket, ...input }))
		keys.push(...keysOf(answer));
	return keys;
}

const listed = Array.from({ length: 25 }, (_, i) => `list/${i % 5}/${i}`);

const cases = {
	'buckets: created, found, listed': async () => {
		await send(sdk.CreateBucketCommand);
		await send(sdk.HeadBucketCommand);
		const { Buckets } = await aws.send(new sdk.ListBucketsCommand({}));
		assert(Buckets.some(({ Name }) => Name === Bucket));
		await assert.rejects(send(sdk.HeadBucketCommand, { Bucket: 'nobody' }), { name: 'NotFound' });
	},
	'put and get, with the checksum in a trailer as the SDK does by default': async () => {
		const answer = await put('default', small);
		assert(answer.ChecksumCRC32, 'no CRC32 comes back');
		assert.strictEqual(answer.ETag, `"${crypto.createHash('md5').update(small).digest('hex')}"`);
		same(await get('default'), small);
		await put('empty', '');
		same(await get('empty'), Buffer.alloc(0));
		// A stream cannot be read before it is sent: its checksum can only follow it.
		await put('stream', Readable.from([large.subarray(0, 100000), large.subarray(100000, 300001)]),
			{ ContentLength: 300001 });
		same(await get('stream'), large.subarray(0, 300001));
	},
	'put and get of the large object in one piece': async () => {
		await put('one', large);
		same(await get('one'), large);
	},
	'conditions': async () => {
		const { ETag } = await send(sdk.HeadObjectCommand, { Key: 'default' });
		same(await get('default', { IfMatch: ETag }), small);
		await assert.rejects(get('default', { IfMatch: '"0"' }), { name: 'PreconditionFailed' });
		await assert.rejects(get('default', { IfNoneMatch: ETag }),
			(error) => error.$metadata.httpStatusCode === 304);
	},
	'metadata and fields': async () => {
		const fields = { ContentType: 'text/x-test', CacheControl: 'no-store', ContentDisposition: 'attachment',
			ContentLanguage: 'de', Metadata: { a: 'b', 'two-words': 'x  y' } };
		await put('meta', small, fields);
		const head = await send(sdk.HeadObjectCommand, { Key: 'meta' });
		for (const [name, value] of Object.entries(fields))
			assert.deepStrictEqual(head[name], value, name);
		assert.strictEqual(head.ContentLength, small.length);
		assert(Math.abs(head.LastModified - Date.now()) < 60000);
	},
	'unusual keys: put, listed, got, copied, deleted': async () => {
		for (const key of UNUSUAL_KEYS)
			await put(key, key);
		const keys = await allKeys(sdk.paginateListObjectsV2, {});
		for (const key of UNUSUAL_KEYS) {
			same(await get(key), Buffer.from(key));
			assert(keys.includes(key), `${key} is not listed`);
			const copy = key.length < 1000 ? `copy of ${key}` : 'copy';
			await send(sdk.CopyObjectCommand, { Key: copy, CopySource: `${Bucket}/${encodeURIComponent(key)}` });
			same(await get(copy), Buffer.from(key));
			await send(sdk.DeleteObjectCommand, { Key: copy });
			await send(sdk.DeleteObjectCommand, { Key: key });
			await assert.rejects(get(key), { name: 'NoSuchKey' });
		}
	},
	'ranges': async () => {
		const ranges = { 'bytes=100-199': [100, 200], 'bytes=0-0': [0, 1], 'bytes=2999-': [2999, 3000],
			'bytes=-5': [2995, 3000], 'bytes=10-99999': [10, 3000] };
		for (const [Range, [from, to]] of Object.entries(ranges))
			same(await get('default', { Range }), small.subarray(from, to));
		await assert.rejects(get('default', { Range: 'bytes=3000-' }), { name: 'InvalidRange' });
		const { ContentRange } = await send(sdk.GetObjectCommand, { Key: 'default', Range: 'bytes=1-2' });
		assert.strictEqual(ContentRange, 'bytes 1-2/3000');
	},
	'lists: v1 and v2 in pages, folders, a start': async () => {
		await Promise.all(listed.map((key) => put(key, key)));
		const want = byBytes(listed);
		assert.deepStrictEqual(await allKeys(sdk.paginateListObjectsV2, { Prefix: 'list/' }), want);
		const found = [];
		let answer = {};
		do {
			answer = await send(sdk.ListObjectsCommand,
				{ Prefix: 'list/', MaxKeys: 4, Marker: answer.NextMarker ?? found.at(-1) });
			found.push(...keysOf(answer));
		} while (answer.IsTruncated);
		assert.deepStrictEqual(found, want);
		for (const Command of [sdk.ListObjectsCommand, sdk.ListObjectsV2Command]) {
			answer = await send(Command, { Prefix: 'list/', Delimiter: '/' });
			assert.deepStrictEqual(answer.CommonPrefixes.map(({ Prefix }) => Prefix),
				[0, 1, 2, 3, 4].map((i) => `list/${i}/`));
			assert.deepStrictEqual(keysOf(answer), []);
			answer = await send(Command, { Prefix: 'nothing/' });
			assert.deepStrictEqual(keysOf(answer), []);
		}
		answer = await send(sdk.ListObjectsV2Command, { Prefix: 'list/', StartAfter: want[9], MaxKeys: 1 });
		assert.deepStrictEqual(keysOf(answer), [want[10]]);
	},
	'folders in pages: each once': async () => {
		const folders = [];
		for await (const { CommonPrefixes } of sdk.paginateListObjectsV2({ client: aws, pageSize: 2 },
			{ Bucket, Prefix: 'list/', Delimiter: '/' }))
			folders.push(...(CommonPrefixes ?? []).map(({ Prefix }) => Prefix));
		assert.deepStrictEqual(folders, [0, 1, 2, 3, 4].map((i) => `list/${i}/`));
	},
	'DeleteObjects': async () => {
		const Objects = [...listed, 'never there'].map((Key) => ({ Key }));
		const gone = await send(sdk.DeleteObjectsCommand, { Delete: { Objects } });
		assert.strictEqual(gone.Deleted.length, Objects.length);
		assert.strictEqual((await send(sdk.ListObjectsV2Command, { Prefix: 'list/' })).KeyCount, 0);
		await put('quiet', small);
		const quiet = await send(sdk.DeleteObjectsCommand, { Delete: { Objects: [{ Key: 'quiet' }], Quiet: true } });
		assert(!quiet.Deleted && !quiet.Errors);
	},
	'copy, with its metadata and with others': async () => {
		await send(sdk.CopyObjectCommand, { Key: 'copy', CopySource: `${Bucket}/meta` });
		same(await get('copy'), small);
		assert.strictEqual((await send(sdk.HeadObjectCommand, { Key: 'copy' })).Metadata.a, 'b');
		await send(sdk.CopyObjectCommand, { Key: 'copy', CopySource: `${Bucket}/meta`, MetadataDirective: 'REPLACE',
			Metadata: { c: 'd' } });
		assert.deepStrictEqual((await send(sdk.HeadObjectCommand, { Key: 'copy' })).Metadata, { c: 'd' });
		await assert.rejects(send(sdk.CopyObjectCommand, { Key: 'copy', CopySource: `${Bucket}/nothing` }),
			{ name: 'NoSuchKey' });
	},
	'a stream of unknown length goes in parts': async () => {
		const Body = Readable.from([large.subarray(0, 7000000), large.subarray(7000000)]);
		const params = { Bucket, Key: 'large', Body };
		const answer = await new Upload({ client: aws, params, partSize: PART_BYTES }).done();
		assert.match(answer.ETag, /^"[0-9a-f]{32}-\d+"$/);
		same(await get('large'), large);
		same(await get('large', { Range: `bytes=${PART_BYTES - 10}-${PART_BYTES + 9}` }),
			large.subarray(PART_BYTES - 10, PART_BYTES + 10));
	},
	'parts by hand: listed, copied from a range, one put twice, completed': async () => {
		const { UploadId } = await send(sdk.CreateMultipartUploadCommand, { Key: 'parts', Metadata: { a: 'b' } });
		const part = { Key: 'parts', UploadId, PartNumber: 1 };
		await send(sdk.UploadPartCommand, { ...part, Body: small });
		const copied = await send(sdk.UploadPartCopyCommand,
			{ ...part, CopySource: `${Bucket}/large`, CopySourceRange: `bytes=0-${PART_BYTES - 1}` });
		const last = await send(sdk.UploadPartCommand, { ...part, PartNumber: 3, Body: small });
		const { Parts: there } = await send(sdk.ListPartsCommand, { Key: 'parts', UploadId });
		assert.deepStrictEqual(there.map(({ PartNumber, Size }) => [PartNumber, Size]),
			[[1, PART_BYTES], [3, small.length]]);
		assert.strictEqual((await send(sdk.ListMultipartUploadsCommand)).Uploads.length, 1);
		const Parts = [{ PartNumber: 1, ETag: copied.CopyPartResult.ETag }, { PartNumber: 3, ETag: last.ETag }];
		const wrong = [Parts[0], { PartNumber: 3, ETag: Parts[0].ETag }];
		await assert.rejects(send(sdk.CompleteMultipartUploadCommand,
			{ Key: 'parts', UploadId, MultipartUpload: { Parts: wrong } }), { name: 'InvalidPart' });
		await send(sdk.CompleteMultipartUploadCommand, { Key: 'parts', UploadId, MultipartUpload: { Parts } });
		same(await get('parts'), Buffer.concat([large.subarray(0, PART_BYTES), small]));
		assert.strictEqual((await send(sdk.HeadObjectCommand, { Key: 'parts' })).Metadata.a, 'b');
	},
	'an upload that is given up is gone': async () => {
		const { UploadId } = await send(sdk.CreateMultipartUploadCommand, { Key: 'gone' });
		await send(sdk.UploadPartCommand, { Key: 'gone', UploadId, PartNumber: 1, Body: small });
		await send(sdk.AbortMultipartUploadCommand, { Key: 'gone', UploadId });
		await assert.rejects(send(sdk.ListPartsCommand, { Key: 'gone', UploadId }), { name: 'NoSuchUpload' });
		await assert.rejects(get('gone'), { name: 'NoSuchKey' });
	},
	'errors by their names': async () => {
		await assert.rejects(get('nothing'), { name: 'NoSuchKey' });
		await assert.rejects(send(sdk.ListObjectsV2Command, { Bucket: 'nobody' }), { name: 'NoSuchBucket' });
		await assert.rejects(send(sdk.DeleteBucketCommand), { name: 'BucketNotEmpty' });
		await assert.rejects(send(sdk.CreateBucketCommand), { name: 'BucketAlreadyOwnedByYou' });
		await assert.rejects(put('bad', small, { ChecksumCRC32: 'AAAAAA==' }), { name: 'BadDigest' });
		await assert.rejects(get('bad'), { name: 'NoSuchKey' });
	},
	'presigned: get, put, head, delete, and nothing else': async () => {
		const where = await signed(sdk.PutObjectCommand, { Key: 'signed ü+%' });
		assert.strictEqual((await fetch(where, { method: 'PUT', body: small })).status, 200);
		const link = await signed(sdk.GetObjectCommand, { Key: 'signed ü+%', ResponseContentType: 'text/x' });
		const answer = await fetch(link);
		assert.strictEqual(answer.headers.get('content-type'), 'text/x');
		same(Buffer.from(await answer.arrayBuffer()), small);
		assert.strictEqual((await fetch(link, { method: 'PUT', body: small })).status, 403);
		assert.strictEqual((await fetch(link.replace('signed', 'default'))).status, 403);
		const head = await fetch(await signed(sdk.HeadObjectCommand, { Key: 'signed ü+%' }), { method: 'HEAD' });
		assert.strictEqual(head.headers.get('content-length'), String(small.length));
		const gone = await fetch(await signed(sdk.DeleteObjectCommand, { Key: 'signed ü+%' }), { method: 'DELETE' });
		assert.strictEqual(gone.status, 204);
	},
};

// Put whole and as a stream, where the checksum follows; got with it; and a wrong one is refused.
async function withChecksum(algorithm, bytes) {
	const name = `Checksum${algorithm}`;
	const first = await put(algorithm, small, { ChecksumAlgorithm: algorithm });
	assert.strictEqual(Buffer.from(first[name], 'base64').length, bytes);
	same(await get(algorithm, { ChecksumMode: 'ENABLED' }), small);
	const streamed = await put(algorithm, Readable.from([small]),
		{ ChecksumAlgorithm: algorithm, ContentLength: small.length });
	assert.strictEqual(streamed[name], first[name]);
	same(await get(algorithm, { ChecksumMode: 'ENABLED' }), small);
	const wrong = Buffer.alloc(bytes, 1).toString('base64');
	await assert.rejects(put(algorithm, small, { [name]: wrong }), { name: 'BadDigest' });
	const params = { Bucket, Key: algorithm, Body: large, ChecksumAlgorithm: algorithm };
	await new Upload({ client: aws, params, partSize: PART_BYTES }).done();
	same(await get(algorithm), large);
}

for (const [algorithm, bytes] of Object.entries(ALGORITHMS))
	cases[`${algorithm}: whole, streamed, in parts, wrong`] = () => withChecksum(algorithm, bytes);
cases['everything is deleted, then the bucket'] = async () => {
	const Objects = (await allKeys(sdk.paginateListObjectsV2, {})).map((Key) => ({ Key }));
	await send(sdk.DeleteObjectsCommand, { Delete: { Objects } });
	await send(sdk.DeleteBucketCommand);
	await assert.rejects(send(sdk.HeadBucketCommand), { name: 'NotFound' });
};
run(cases);
