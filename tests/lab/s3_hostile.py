#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""s3_hostile.py PORT CASE - send what nobody should, and look at what comes back.

Room: tests/lab. Called by test_s3_hostile.sh, which has put the object /kept/k there and looks at the
server's drive and memory afterwards. Exits 1 with one line when an answer is wrong.
"""
import base64
import hashlib
import socket
import sys
import threading
import time
import zlib
from s3_wire import Wire, Wrong, chunked, digest, head, once

ADDRESS = ("127.0.0.1", int(sys.argv[1]))
TRAILER = "STREAMING-UNSIGNED-PAYLOAD-TRAILER"
DATA = b"some bytes that nobody will ever read"
MIB = 1 << 20
PATIENCE_HEAD_S, PATIENCE_BODY_S = 15, 30  # HTTP1_HEAD_NS, HTTP1_BODY_NS
SUMS = {
    "crc32": base64.b64encode(zlib.crc32(DATA).to_bytes(4, "big")).decode(),
    "sha1": base64.b64encode(hashlib.sha1(DATA).digest()).decode(),
    "sha256": base64.b64encode(hashlib.sha256(DATA).digest()).decode(),
    "crc32c": None,
    "crc64nvme": None,
}
WRONG_SUMS = {"crc32": 4, "crc32c": 4, "crc64nvme": 8, "sha1": 20, "sha256": 32}


def zeros(count):
    return base64.b64encode(bytes(count)).decode()


def put(path="/kept/bad", body=DATA, **more):
    return once(ADDRESS, "PUT", path, body, **more)


def clean(path):
    once(ADDRESS, "DELETE", path).must_be(204)


def signatures():
    put(password="wrong").must_be(403, "SignatureDoesNotMatch")
    for skew in (-3600, -1000, 1000, 3600):
        put(skew=skew).must_be(403, "RequestTimeTooSkewed")
    for skew in (-800, 800):
        put("/kept/skewed", skew=skew).must_be(200)
    clean("/kept/skewed")
    put(payload=digest(b"something else")).must_be(400, "XAmzContentSHA256Mismatch")
    put(payload="nonsense").must_be(400, "InvalidArgument")
    # A field of ours that was not signed, a method, a path and a query that were not.
    for old, new in ((b"\r\n\r\n", b"\r\nx-amz-meta-more: 1\r\n\r\n"), (b"PUT", b"POST"),
                     (b"/kept/bad ", b"/kept/worse "), (b"/kept/bad ", b"/kept/bad?x=y ")):
        with Wire(ADDRESS) as wire:
            wire.send(head("PUT", "/kept/bad", length=len(DATA)).replace(old, new, 1) + DATA)
            wire.answer().must_be(403)
    with Wire(ADDRESS) as wire:
        wire.send(b"PUT /kept/bad HTTP/1.1\r\nhost: a\r\ncontent-length: 3\r\n\r\nabc")
        wire.answer().must_be(403, "AccessDenied")


def checksums():
    put(fields={"content-md5": zeros(16)}).must_be(400, "BadDigest")
    put(fields={"content-md5": "nonsense"}).must_be(400, "InvalidDigest")
    for name, size in WRONG_SUMS.items():
        field = "x-amz-checksum-" + name
        put(fields={field: zeros(size)}).must_be(400, "BadDigest")
        put(fields={field: zeros(size + 3)}).must_be(400, "InvalidDigest")
        trailing(field, zeros(size), 400, "BadDigest")
        trailing(field, None, 400, "InvalidRequest")
        if SUMS[name]:
            put("/kept/good", fields={field: SUMS[name]}).must_be(200)
            trailing(field, SUMS[name], 200, path="/kept/good")
    put(fields={"x-amz-checksum-crc32": SUMS["crc32"], "x-amz-checksum-sha1": SUMS["sha1"]}).must_be(400)
    clean("/kept/good")


def trailing(field, value, status, code="", path="/kept/bad"):
    body = chunked(DATA[:10], DATA[10:], trailers=["%s:%s" % (field, value)] if value else [])
    fields = {"x-amz-trailer": field, "x-amz-decoded-content-length": str(len(DATA)), "content-encoding": "aws-chunked"}
    put(path, body, fields=fields, payload=TRAILER).must_be(status, code)


def lengths():
    # Shorter than said: the rest never comes.
    with Wire(ADDRESS) as wire:
        wire.send(head("PUT", "/kept/bad", length=100) + DATA)
        wire.socket.shutdown(socket.SHUT_WR)
        try:
            wire.answer().must_be(400)
        except ConnectionError:
            pass
    # Longer: what is too much is no request.
    with Wire(ADDRESS) as wire:
        wire.send(head("PUT", "/kept/longer", length=10) + DATA)
        wire.answer().must_be(200)
        wire.answer().must_be(400, "BadRequest")
        wire.must_be_closed()
    clean("/kept/longer")
    for told in (len(DATA) - 1, len(DATA) + 1):
        fields = {"x-amz-decoded-content-length": str(told)}
        put(body=chunked(DATA), fields=fields, payload=TRAILER).must_be(400, "IncompleteBody")
    put(body=chunked(DATA), payload=TRAILER).must_be(411, "MissingContentLength")
    put(body=b"", length=None).must_be(411, "MissingContentLength")
    put(body=b"5\r\nhello\r\n0\r\n\r\n", fields={"x-amz-decoded-content-length": "-5"}, payload=TRAILER).must_be(400)
    for size in (b"-5", b"0x5", b"5 5", b"", b"fffffffffffffffff", b"5;" + b"x" * 5000):
        fields = {"x-amz-decoded-content-length": "5"}
        put(body=size + b"\r\nhello\r\n0\r\n\r\n", fields=fields, payload=TRAILER).must_be(400)
    put(body=b"", length=5 * 1024 * MIB + 1).must_be(400, "EntityTooLarge")


def keys():
    put("/kept/../../etc/passwd").must_be(400, "InvalidArgument")
    put("/kept/a/%2e%2e/%2e%2e/b").must_be(400, "InvalidArgument")
    put("/kept/a%00b").must_be(400, "InvalidURI")
    put("/kept/a%zz").must_be(400, "InvalidURI")
    put("/kept/%ff%fe").must_be(400, "InvalidArgument")
    put("/kept/" + "k" * 1025).must_be(400, "KeyTooLongError")
    put("/kept/" + "%C3%BC" * 513).must_be(400, "KeyTooLongError")
    put("/kept/" + "k" * 1024).must_be(200)
    clean("/kept/" + "k" * 1024)
    put("/Kept/k").must_be(400, "InvalidBucketName")


def heads():
    for line in (b"x: " + b"y" * 1000, b"y", b"a: b\r\n"):
        with Wire(ADDRESS) as wire:
            wire.send(b"GET / HTTP/1.1\r\nhost: a\r\n")
            try:
                for _ in range(64 * 1024):
                    wire.send(line)
            except ConnectionError:
                pass
            try:
                # A name that goes on for ever is not even one.
                wire.answer().must_be(400)
                wire.must_be_closed(12)
            except ConnectionError:
                pass
    with Wire(ADDRESS) as wire:
        wire.send(b"GET /" + b"a" * 40000 + b" HTTP/1.1\r\nhost: a\r\n\r\n")
        wire.answer().must_be(400, "RequestHeaderSectionTooLarge")
        wire.must_be_closed(12)


def smuggling():
    inside = head("DELETE", "/kept/k").decode()
    chunk = "0\r\n\r\n"
    bad = [
        "content-length: 5\r\ntransfer-encoding: chunked",
        "transfer-encoding: chunked\r\ncontent-length: 5",
        "content-length: 5\r\ncontent-length: 5",
        "content-length: 5\r\ncontent-length: 50",
        "content-length: 5, 5",
        "content-length: +5",
        "content-length: 0x5",
        "content-length: 5 0",
        "content-length: -1",
        "content-length: 99999999999999999999999",
        "content-length : 5",
        "content-length:\r\n 5",
        "x: y\r\n content-length: 5",
        "x: y\r\n\tz",
        "transfer-encoding: chunked\r\ntransfer-encoding: identity",
        "transfer-encoding: chunked, identity",
        "transfer-encoding:\r\n chunked",
        "transfer-encoding: xchunked",
        "transfer-encoding : chunked",
        "transfer-encoding: \x0bchunked",
        "\x00x: y",
        "x: a\x00b",
        "x: a\rtransfer-encoding: chunked",
    ]
    for fields in bad:
        expect_refusal("PUT /kept/bad HTTP/1.1\r\nhost: a\r\n%s\r\n\r\n%s%s" % (fields, chunk, inside), fields)
    for size in ("-1", "0x5", "g", "", " 5", "fffffffffffffffff", "5\n", "100000000000000000005"):
        request = head("PUT", "/kept/bad", fields={"transfer-encoding": "chunked"}).decode()
        expect_refusal("%s%s\r\nhello\r\n%s%s" % (request, size, chunk, inside), "chunk of " + size)
    once(ADDRESS, "GET", "/kept/k").must_be(200)


def expect_refusal(text, what):
    with Wire(ADDRESS, 12) as wire:
        wire.send(text.encode("latin-1"))
        try:
            answer = wire.answer()
        except ConnectionError as gone:
            raise Wrong("%r: no answer" % what) from gone
        if answer.status not in (400, 501):
            raise Wrong("%r: %d %s" % (what, answer.status, answer.code))
        wire.must_be_closed()


def xml():
    many = b"<Delete>" + b"<Object><Key>k</Key></Object>" * 1001 + b"</Delete>"
    bomb = b'<!DOCTYPE a [<!ENTITY a0 "ha">%s]><Delete><Object><Key>&a9;</Key></Object></Delete>' % b"".join(
        b'<!ENTITY a%d "%s">' % (i, b"&a%d;" % (i - 1) * 100) for i in range(1, 10))
    for document in (bomb, b'<!DOCTYPE a SYSTEM "file:///etc/passwd"><Delete/>', b"<a>" * 100000,
                     b"<Delete>" + b"<a>" * 100 + b"</a>" * 100 + b"</Delete>", b"<Delete><Object><Key>" + b"k" * MIB,
                     b"<Delete " + b" ".join(b"a%d='b'" % i for i in range(100000)) + b"/>", b"<" + b"a" * MIB,
                     b"<Delete>", b"", b"\x00", b"<Delete>\xff</Delete>", many, b"<Delete>" + b" " * 3 * MIB):
        once(ADDRESS, "POST", "/kept", document, query="delete=").must_be(400, "MalformedXML")
    once(ADDRESS, "POST", "/kept/k", b"<a>" * 1000, query="uploadId=0").must_be(400, "MalformedXML")
    once(ADDRESS, "PUT", "/bucket", bomb).must_be(400, "MalformedXML")
    once(ADDRESS, "GET", "/kept/k").must_be(200)


def connections():
    with Wire(ADDRESS) as wire:
        # The body is there, so all is known of where the next request begins.
        wire.ask("PUT", "/kept/bad", DATA, fields={"content-md5": zeros(16)}).must_be(400, "BadDigest")
        wire.ask("PUT", "/kept/bad", DATA, password="wrong").must_be(403)
        wire.ask("PUT", "/nobody/bad", DATA).must_be(404, "NoSuchBucket")
        if wire.ask("HEAD", "/kept/none").must_be(404).body:
            raise Wrong("HEAD has a body")
        wire.ask("HEAD", "/nobody").must_be(404)
        wire.ask("HEAD", "/kept/k", fields={"if-match": '"0"'}).must_be(412)
        wire.ask("POST", "/kept", b"<", query="delete=").must_be(400, "MalformedXML")
        wire.ask("GET", "/kept/k").must_be(200)
    with Wire(ADDRESS) as wire:
        wire.send(head("PUT", "/kept/expected", fields={"expect": "100-continue"}, length=len(DATA)))
        wire.answer().must_be(100)
        wire.send(DATA)
        wire.answer().must_be(200)
        wire.ask("DELETE", "/kept/expected").must_be(204)
    with Wire(ADDRESS) as wire:
        wire.send(head("PUT", "/kept/bad", fields={"expect": "100-continue"}, length=len(DATA), password="wrong"))
        wire.answer().must_be(403)
        wire.must_be_closed(12)


def reading():
    query = "response-cache-control=no-cache&response-content-disposition=attachment%3B%20filename%3D%22a%22" \
            "&response-content-encoding=x&response-content-language=de&response-content-type=text%2Fx" \
            "&response-expires=never"
    answer = once(ADDRESS, "GET", "/kept/k", query=query).must_be(200)
    for field, value in (("cache-control", "no-cache"), ("content-disposition", 'attachment; filename="a"'),
                         ("content-encoding", "x"), ("content-language", "de"), ("content-type", "text/x"),
                         ("expires", "never")):
        if answer.fields.get(field) != value:
            raise Wrong("%s is %r" % (field, answer.fields.get(field)))
    # No field of one's own through such a value.
    answer = once(ADDRESS, "GET", "/kept/k", query="response-content-type=a%0D%0Ax-evil%3A%201").must_be(200)
    if "x-evil" in answer.fields:
        raise Wrong("a field was smuggled into the answer")
    once(ADDRESS, "GET", "/kept/k", query="partNumber=1").must_be(501, "NotImplemented")


def begin_upload(key):
    answer = once(ADDRESS, "POST", key, query="uploads=").must_be(200)
    return answer.body.split(b"<UploadId>")[1].split(b"<")[0].decode()


def complete(key, upload, etags):
    parts = "".join("<Part><PartNumber>%d</PartNumber><ETag>%s</ETag></Part>" % pair for pair in etags)
    return once(ADDRESS, "POST", key, ("<CompleteMultipartUpload>%s</CompleteMultipartUpload>" % parts).encode(),
                query="uploadId=" + upload)


def part(key, upload, number, body=b"", **more):
    answer = once(ADDRESS, "PUT", key, body, query="partNumber=%d&uploadId=%s" % (number, upload), **more).must_be(200)
    if "x-amz-copy-source" in more.get("fields", {}):
        return (number, answer.body.split(b"&quot;")[1].decode())
    return (number, answer.fields["etag"])


def uploads():
    large = bytes(range(256)) * (5 * MIB // 256)
    upload = begin_upload("/kept/up")
    small = part("/kept/up", upload, 1, b"small")
    last = part("/kept/up", upload, 3, b"last")
    complete("/kept/up", upload, [small, last]).must_be(400, "EntityTooSmall")
    complete("/kept/up", upload, [(1, last[1]), last]).must_be(400, "InvalidPart")
    complete("/kept/up", upload, [last, small]).must_be(400, "InvalidPartOrder")
    first = part("/kept/up", upload, 1, large)
    # A part out of a range of an object: this one, of the last part's upload.
    put("/kept/source", large + b"0123456789").must_be(200)
    source = {"x-amz-copy-source": "/kept/source"}
    ranged = dict(source, **{"x-amz-copy-source-range": "bytes=%d-%d" % (5 * MIB + 2, 5 * MIB + 5)})
    second = part("/kept/up", upload, 2, fields=dict(source))
    last = part("/kept/up", upload, 3, fields=ranged)
    beyond = dict(source, **{"x-amz-copy-source-range": "bytes=%d-%d" % (6 * MIB, 7 * MIB)})
    once(ADDRESS, "PUT", "/kept/up", fields=beyond, query="partNumber=4&uploadId=" + upload).must_be(416, "InvalidRange")
    done = complete("/kept/up", upload, [first, second, last]).must_be(200)
    again = complete("/kept/up", upload, [first, second, last]).must_be(200)
    if done.body != again.body:
        raise Wrong("another answer the second time: %r" % again.body[:200])
    complete("/kept/up", upload, [first, second]).must_be(404, "NoSuchUpload")
    if once(ADDRESS, "GET", "/kept/up").must_be(200).body != large + large + b"0123456789" + b"2345":
        raise Wrong("the object is not what its parts were")
    clean("/kept/up")
    complete("/kept/up", upload, [first, second, last]).must_be(404, "NoSuchUpload")
    clean("/kept/source")
    upload = begin_upload("/kept/up")
    first = part("/kept/up", upload, 1, b"x")
    once(ADDRESS, "DELETE", "/kept/up", query="uploadId=" + upload).must_be(204)
    complete("/kept/up", upload, [first]).must_be(404, "NoSuchUpload")


def slow():
    """Each in a thread of its own: they wait for the server's patience to end."""
    wrong = []

    def guarded(what):
        try:
            what()
        except (Wrong, OSError) as error:
            wrong.append("%s: %s" % (what.__name__, error))

    threads = [threading.Thread(target=guarded, args=(what,)) for what in
               (slow_head, silent_head, silent_body, dripping_body, slow_body)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if wrong:
        raise Wrong("; ".join(wrong))


def ends_with_timeout(wire, began, patience_s):
    wire.answer().must_be(400, "RequestTimeout")
    took_s = time.monotonic() - began
    if not patience_s - 1 < took_s < patience_s + 10:
        raise Wrong("answered after %.1f s instead of %d" % (took_s, patience_s))
    wire.must_be_closed()


def drip(wire, data, pause_s, count):
    """Until the server says something."""
    wire.socket.settimeout(pause_s)
    for _ in range(count):
        wire.send(data)
        try:
            wire.read_some()
            break
        except TimeoutError:
            pass
    wire.socket.settimeout(60)


def slow_head():
    with Wire(ADDRESS) as wire:
        began = time.monotonic()
        wire.send(b"GET / HTTP/1.1\r\nhost: a\r\nx: ")
        drip(wire, b"y", 0.5, 100)
        ends_with_timeout(wire, began, PATIENCE_HEAD_S)


def silent_head():
    with Wire(ADDRESS) as wire:
        began = time.monotonic()
        wire.send(b"GET")
        ends_with_timeout(wire, began, PATIENCE_HEAD_S)


def silent_body():
    with Wire(ADDRESS) as wire:
        began = time.monotonic()
        wire.send(head("PUT", "/kept/bad", length=MIB) + DATA)
        ends_with_timeout(wire, began, PATIENCE_BODY_S)


def dripping_body():
    with Wire(ADDRESS) as wire:
        began = time.monotonic()
        wire.send(head("PUT", "/kept/bad", length=MIB))
        drip(wire, b"y", 1, 100)
        ends_with_timeout(wire, began, PATIENCE_BODY_S)


def slow_body():
    """400 bytes a second are slow, and are progress."""
    with Wire(ADDRESS) as wire:
        wire.send(head("PUT", "/kept/slow", length=200 * 200))
        for _ in range(200):
            if _ % 100 == 0:
                time.sleep(2)
            wire.send(b"y" * 200)
            time.sleep(0.2)
        wire.answer().must_be(200)
    clean("/kept/slow")


CASES = {case.__name__: case for case in (signatures, checksums, lengths, keys, heads, smuggling, xml, connections,
                                          reading, uploads, slow)}

if __name__ == "__main__":
    try:
        CASES[sys.argv[2]]()
    except (Wrong, ConnectionError, TimeoutError) as error:
        sys.exit("%s: %s" % (type(error).__name__, error))
