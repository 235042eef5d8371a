# SPDX-License-Identifier: BSD-2-Clause
"""s3_wire.py - S3 requests byte by byte: signed as they should be, or not; whole, or not; fast, or not.

Room: tests/lab. Imported by s3_hostile.py and s3_disk.py, which say what is sent and what must come
back. Nothing but the standard library: no client would send these.
"""
import hashlib
import hmac
import os
import re
import socket
import time
import urllib.parse

USER = os.environ["KNELL_ROOT_USER"]
PASSWORD = os.environ["KNELL_ROOT_PASSWORD"]
REGION = "us-east-1"
UNSIGNED = "UNSIGNED-PAYLOAD"


class Wrong(Exception):
    """What came back is not what should have."""


def quote(text):
    return urllib.parse.quote(text, safe="-_.~/")


def digest(data):
    return hashlib.sha256(data).hexdigest()


def mac(key, text):
    return hmac.new(key, text.encode(), hashlib.sha256).digest()


def head(method, path, fields=None, query="", payload=UNSIGNED, skew=0, password=PASSWORD, length=None):
    """The head of a signed request. `path` is as it is sent, encoded already."""
    stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(time.time() + skew))
    all_fields = {"host": "s3.test", "x-amz-date": stamp, "x-amz-content-sha256": payload}
    all_fields.update(fields or {})
    names = sorted(name for name in all_fields if name.startswith("x-amz-") or name == "host")
    pairs = sorted(part.partition("=") for part in query.split("&") if part)
    canonical = "\n".join([
        method, path, "&".join("%s=%s" % (name, value) for name, _, value in pairs),
        "".join("%s:%s\n" % (name, all_fields[name].strip()) for name in names), ";".join(names), payload])
    scope = "%s/%s/s3/aws4_request" % (stamp[:8], REGION)
    key = ("AWS4" + password).encode()
    for part in scope.split("/"):
        key = mac(key, part)
    signature = mac(key, "\n".join(["AWS4-HMAC-SHA256", stamp, scope, digest(canonical.encode())])).hex()
    all_fields["authorization"] = "AWS4-HMAC-SHA256 Credential=%s/%s,SignedHeaders=%s,Signature=%s" % (
        USER, scope, ";".join(names), signature)
    if length is not None:
        all_fields["content-length"] = str(length)
    lines = ["%s %s%s HTTP/1.1" % (method, path, "?" + query if query else "")]
    lines += ["%s: %s" % pair for pair in all_fields.items()]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


class Answer:
    def __init__(self, status, fields, body):
        self.status, self.fields, self.body = status, fields, body

    @property
    def code(self):
        found = re.search(rb"<Code>(\w+)</Code>", self.body)
        return found.group(1).decode() if found else ""

    def must_be(self, status, code=""):
        if self.status != status or (code and self.code != code):
            raise Wrong("%d %s %r instead of %d %s" % (self.status, self.code, self.body[:200], status, code))
        return self


class Wire:
    """One connection."""

    def __init__(self, address, timeout_s=60):
        self.socket = socket.create_connection(address, timeout_s)
        self.buffer = b""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def send(self, data):
        self.socket.sendall(data)

    def read_some(self):
        more = self.socket.recv(65536)
        self.buffer += more
        return more

    def answer(self, method=""):
        """The next answer; ConnectionError when there is none."""
        while b"\r\n\r\n" not in self.buffer:
            if not self.read_some():
                raise ConnectionError("closed without an answer")
        text, _, self.buffer = self.buffer.partition(b"\r\n\r\n")
        lines = text.decode("latin-1").split("\r\n")
        status = int(lines[0].split()[1])
        fields = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines[1:])}
        body = b""
        if method != "HEAD" and status not in (100, 204, 304):
            if fields.get("transfer-encoding") == "chunked":
                body = self.chunks()
            else:
                body = self.exactly(int(fields.get("content-length", "0")))
        return Answer(status, fields, body)

    def exactly(self, count):
        while len(self.buffer) < count:
            if not self.read_some():
                raise ConnectionError("closed within a body")
        data, self.buffer = self.buffer[:count], self.buffer[count:]
        return data

    def chunks(self):
        body = b""
        while True:
            while b"\r\n" not in self.buffer:
                if not self.read_some():
                    raise ConnectionError("closed within a chunk")
            line, _, self.buffer = self.buffer.partition(b"\r\n")
            data = self.exactly(int(line, 16))
            self.exactly(2)
            if not data:
                return body
            body += data

    def must_be_closed(self, within_s=5):
        """The server ends it, and says nothing more."""
        self.socket.settimeout(within_s)
        try:
            more = self.socket.recv(65536)
        except ConnectionError:
            return
        except TimeoutError as late:
            raise Wrong("the connection is still open after %d s" % within_s) from late
        if more or self.buffer:
            raise Wrong("something comes after the last answer: %r" % (self.buffer + more)[:100])

    def ask(self, method, path, body=b"", **more):
        more.setdefault("length", len(body) if body or method in ("PUT", "POST") else None)
        self.send(head(method, path, **more) + body)
        return self.answer(method)


def once(address, method, path, body=b"", **more):
    with Wire(address) as wire:
        return wire.ask(method, path, body, **more)


def chunked(*pieces, trailers=()):
    """aws-chunked without signatures."""
    body = b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces if piece)
    return body + b"0\r\n" + b"".join(b"%s\r\n" % trailer.encode() for trailer in trailers) + b"\r\n"
