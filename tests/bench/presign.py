#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""presign.py METHOD HOST:PORT KEY... - a presigned URL for each KEY ("bucket/name"), one per line. Signed
with AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, good for an hour."""
import datetime
import hashlib
import hmac
import os
import sys
import urllib.parse


def mac(key, text):
    return hmac.new(key, text.encode(), hashlib.sha256).digest()


method, host, *keys = sys.argv[1:]
now = datetime.datetime.now(datetime.timezone.utc)
day, stamp = now.strftime("%Y%m%d"), now.strftime("%Y%m%dT%H%M%SZ")
scope = f"{day}/us-east-1/s3/aws4_request"
signing_key = ("AWS4" + os.environ["AWS_SECRET_ACCESS_KEY"]).encode()
for part in scope.split("/"):
    signing_key = mac(signing_key, part)
query = urllib.parse.urlencode({
    "X-Amz-Algorithm": "AWS4-HMAC-SHA256",
    "X-Amz-Credential": f"{os.environ['AWS_ACCESS_KEY_ID']}/{scope}",
    "X-Amz-Date": stamp,
    "X-Amz-Expires": "3600",
    "X-Amz-SignedHeaders": "host",
})
for key in keys:
    path = "/" + urllib.parse.quote(key)
    request = f"{method}\n{path}\n{query}\nhost:{host}\n\nhost\nUNSIGNED-PAYLOAD"
    words = f"AWS4-HMAC-SHA256\n{stamp}\n{scope}\n{hashlib.sha256(request.encode()).hexdigest()}"
    print(f"http://{host}{path}?{query}&X-Amz-Signature={mac(signing_key, words).hex()}")
