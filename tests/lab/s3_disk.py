#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""s3_disk.py ADDRESS NOTES CASE [ARGUMENTS] - S3 on a drive that is full, read-only, broken or frozen.

Room: tests/lab. Called by test_s3_disk.sh, which makes the drive so. NOTES is a file that remembers
what was acknowledged (key, size, seed): whatever happens to the drive, all of that must be readable.
Exits 1 with one line when an answer is wrong.
"""
import json
import os
import random
import subprocess
import sys
import threading
import time
from s3_wire import Wrong, once

HOST, PORT = sys.argv[1].rsplit(":", 1)
ADDRESS = (HOST, int(PORT))
NOTES = sys.argv[2]
UPLOADS = 30
PATIENCE_S = 15  # S3_STORE_NS
DEADLINE_S = 40


def read_notes():
    try:
        with open(NOTES) as file:
            return json.load(file)
    except FileNotFoundError:
        return {}


def write_notes(notes):
    with open(NOTES, "w") as file:
        json.dump(notes, file)


def content(size, seed):
    return random.Random(seed).randbytes(size)


def put(key, size, seed):
    return once(ADDRESS, "PUT", "/disk/" + key, content(size, seed))


def begin(*_):
    once(ADDRESS, "PUT", "/disk").must_be(200)
    notes = read_notes()
    for i in range(5):
        put("kept-%d" % i, 50000, i).must_be(200)
        notes["kept-%d" % i] = [50000, i]
    write_notes(notes)


def fill(prefix, size, status, code):
    """Until it fails, and how."""
    notes = read_notes()
    for i in range(10000):
        answer = put("%s-%d" % (prefix, i), int(size), i)
        if answer.status != 200:
            answer.must_be(int(status), code)
            break
        notes["%s-%d" % (prefix, i)] = [int(size), i]
    write_notes(notes)
    if answer.status == 200:
        raise Wrong("the drive does not get full")
    must_say_when(answer)


def must_say_when(answer):
    if (answer.status == 503) != ("retry-after" in answer.fields):
        raise Wrong("%d and Retry-After is %s" % (answer.status, answer.fields.get("retry-after")))


def refused(status, code, size="1000000"):
    """Whatever writes, and what is there stays."""
    size = int(size)
    for method, path, query, body in (("PUT", "/disk/new", "", bytes(size)), ("PUT", "/disk/kept-0", "", bytes(size))):
        answer = once(ADDRESS, method, path, body, query=query).must_be(int(status), code)
        must_say_when(answer)
    if size <= 100000:
        once(ADDRESS, "PUT", "/more").must_be(int(status), code)
        once(ADDRESS, "DELETE", "/disk/kept-0").must_be(int(status), code)
        once(ADDRESS, "POST", "/disk/new", query="uploads=").must_be(int(status), code)


def listed():
    keys, after = set(), ""
    while True:
        query = "list-type=2&start-after=" + after
        body = once(ADDRESS, "GET", "/disk", query=query).must_be(200).body.decode()
        page = [part.split("<")[0] for part in body.split("<Key>")[1:]]
        keys.update(page)
        if "<IsTruncated>true" not in body:
            return keys
        after = page[-1]


def check(*_):
    """All that was acknowledged is there and whole, and nothing else is listed."""
    notes = read_notes()
    keys = listed()
    if keys != set(notes):
        raise Wrong("listed but not acknowledged, or the other way round: %s" % sorted(keys ^ set(notes))[:5])
    for key, (size, seed) in notes.items():
        if once(ADDRESS, "GET", "/disk/" + key).must_be(200).body != content(size, seed):
            raise Wrong("%s is not what it was" % key)


def free(*_):
    notes = read_notes()
    for key in [key for key in notes if not key.startswith("kept")]:
        once(ADDRESS, "DELETE", "/disk/" + key).must_be(204)
        del notes[key]
        write_notes(notes)


def write(key="kept-more"):
    """Within a while: a drive takes a moment to be free again."""
    deadline = time.monotonic() + DEADLINE_S
    answer = put(key, 1000000, 7)
    while answer.status != 200 and time.monotonic() < deadline:
        time.sleep(0.5)
        answer = put(key, 1000000, 7)
    answer.must_be(200)
    notes = read_notes()
    notes[key] = [1000000, 7]
    write_notes(notes)


def together(count, what):
    wrong = []

    def guarded(i):
        try:
            what(i)
        except (Wrong, OSError) as error:
            wrong.append(str(error))

    threads = [threading.Thread(target=guarded, args=(i,)) for i in range(count)]
    for thread in threads:
        thread.start()
    return threads, wrong


def frozen(mount, frozen_file, go_on_file):
    """Uploads that run into the freeze end with SlowDown in time; reads go on; then it thaws."""
    sizes = (1000, 100000, 3000000)

    def upload(i):
        began = time.monotonic()
        answer = put("frozen-%d" % i, sizes[i % len(sizes)], i).must_be(503, "SlowDown")
        took_s = time.monotonic() - began
        must_say_when(answer)
        if not PATIENCE_S - 1 < took_s < PATIENCE_S + 10:
            raise Wrong("SlowDown after %.1f s instead of %d" % (took_s, PATIENCE_S))

    subprocess.run(["fsfreeze", "-f", mount], check=True)
    try:
        open(frozen_file, "w").close()
        threads, wrong = together(UPLOADS, upload)
        deadline = time.monotonic() + DEADLINE_S
        while any(thread.is_alive() for thread in threads) or not os.path.exists(go_on_file):
            began = time.monotonic()
            check()
            if time.monotonic() - began > 10:
                raise Wrong("reads are slow")
            if time.monotonic() > deadline:
                raise Wrong("%s" % (wrong[:1] or "uploads still hang"))
            time.sleep(0.2)
        # What else changes something.
        once(ADDRESS, "DELETE", "/disk/kept-0").must_be(503, "SlowDown")
    finally:
        subprocess.run(["fsfreeze", "-u", mount], check=False)
    for thread in threads:
        thread.join()
    if wrong:
        raise Wrong(wrong[0])


def thawed(*_):
    """What was answered 503 is there whole, or not at all; all else is as it was."""
    write("kept-thawed")
    notes = read_notes()
    for i in range(UPLOADS):
        key = "frozen-%d" % i
        answer = once(ADDRESS, "GET", "/disk/" + key)
        if answer.status == 200:
            notes[key] = [len(answer.body), i]
    if once(ADDRESS, "GET", "/disk/kept-0").status == 404:
        del notes["kept-0"]
    write_notes(notes)
    check()


CASES = {case.__name__: case for case in (begin, fill, refused, check, free, write, frozen, thawed)}

if __name__ == "__main__":
    try:
        CASES[sys.argv[3]](*sys.argv[4:])
    except (Wrong, OSError) as error:
        sys.exit("%s: %s" % (type(error).__name__, error))
