// SPDX-License-Identifier: BSD-2-Clause
//
// mirror.js - what `mc mirror` does, by minio's client or by @aws-sdk/client-s3, both unmodified: a tree
// goes up or down, as far as it differs; and single files, in parts where they are large.
//
// usage: node mirror.js minio|aws-sdk URL makeBucket BUCKET | up DIR BUCKET | down BUCKET DIR |
// put FILE BUCKET KEY | get BUCKET KEY FILE
'use strict';
const crypto = require('crypto');
const fs = require('fs');
const path = require('path');
const { pipeline } = require('stream/promises');
const { PART_BYTES, awsClient, minioClient, listOf } = require('./common.js');

const AT_ONCE = 8;
const [name, url, verb, ...words] = process.argv.slice(2);

function byMinio() {
	const client = minioClient(url);
	return {
		makeBucket: (bucket) => client.makeBucket(bucket),
		// Name to MD5.
		list: async (bucket) => new Map((await listOf(client.listObjectsV2(bucket, '', true)))
			.map((object) => [object.name, object.etag])),
		put: (bucket, key, file) => client.fPutObject(bucket, key, file),
		get: (bucket, key) => client.getObject(bucket, key),
		remove: (bucket, keys) => client.removeObjects(bucket, keys),
	};
}

function byAws() {
	const sdk = require('@aws-sdk/client-s3');
	const { Upload } = require('@aws-sdk/lib-storage');
	const client = awsClient(url);
	return {
		makeBucket: (Bucket) => client.send(new sdk.CreateBucketCommand({ Bucket })),
		list: async (Bucket) => {
			const found = new Map();
			for await (const { Contents } of sdk.paginateListObjectsV2({ client }, { Bucket }))
				for (const { Key, ETag } of Contents ?? [])
					found.set(Key, ETag.replaceAll('"', ''));
			return found;
		},
		put: (Bucket, Key, file) => new Upload({ client, partSize: PART_BYTES,
			params: { Bucket, Key, Body: fs.createReadStream(file) } }).done(),
		get: async (Bucket, Key) => (await client.send(new sdk.GetObjectCommand({ Bucket, Key }))).Body,
		remove: async (Bucket, keys) => {
			const Delete = { Objects: keys.map((Key) => ({ Key })) };
			if (keys.length)
				await client.send(new sdk.DeleteObjectsCommand({ Bucket, Delete }));
		},
	};
}

const s3 = name === 'minio' ? byMinio() : byAws();

async function forEach(items, body) {
	const rest = [...items];
	await Promise.all(Array.from({ length: AT_ONCE }, async () => {
		while (rest.length)
			await body(rest.pop());
	}));
}

function filesOf(dir) {
	return fs.readdirSync(dir, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile())
		.map((entry) => path.relative(dir, path.join(entry.parentPath ?? entry.path, entry.name)));
}

const md5 = (file) => crypto.createHash('md5').update(fs.readFileSync(file)).digest('hex');

const verbs = {
	async up(dir, bucket) {
		const there = await s3.list(bucket);
		const files = filesOf(dir);
		const stale = files.filter((file) => there.get(file) !== md5(path.join(dir, file)));
		const gone = [...there.keys()].filter((key) => !files.includes(key));
		await forEach(stale, (file) => s3.put(bucket, file, path.join(dir, file)));
		await s3.remove(bucket, gone);
	},
	async down(bucket, dir) {
		await forEach((await s3.list(bucket)).keys(), async (key) => {
			const file = path.join(dir, key);
			fs.mkdirSync(path.dirname(file), { recursive: true });
			await pipeline(await s3.get(bucket, key), fs.createWriteStream(file));
		});
	},
	put: (file, bucket, key) => s3.put(bucket, key, file),
	get: async (bucket, key, file) => pipeline(await s3.get(bucket, key), fs.createWriteStream(file)),
	makeBucket: (bucket) => s3.makeBucket(bucket),
};

verbs[verb](...words).catch((error) => {
	console.log(`${error.name}: ${error.message}`);
	process.exit(1);
});
