#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# test_s3_npm.sh - the S3 clients of npm, unmodified: @aws-sdk/client-s3 (with lib-storage and the presigner)
# and minio do all that they can do with objects, in the clear and over TLS.
. "$(dirname "$0")/common.sh"
. "$(dirname "$0")/s3.sh"
has_npm || skip_all "$why"

LARGE_BYTES=$(in_mode 12000000 200000000 200000000)
readonly LARGE_BYTES

serve "$work/store"
url=http://127.0.0.1:$port
each_case "@aws-sdk/client-s3" s3_js aws_sdk "$url" "$LARGE_BYTES"
each_case "minio" s3_js minio "$url" "$LARGE_BYTES"

make_certificate
export NODE_EXTRA_CA_CERTS=$work/cert.pem
serve "$work/store-tls" "$work/cert.pem" "$work/key.pem"
url=https://127.0.0.1:$port
each_case "@aws-sdk/client-s3 over TLS" s3_js aws_sdk "$url" "$LARGE_BYTES"
each_case "minio over TLS" s3_js minio "$url" "$LARGE_BYTES"
run "the servers end in order, with no temporary file left" ends_clean
finish
