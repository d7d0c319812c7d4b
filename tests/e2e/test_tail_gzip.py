# SPDX-License-Identifier: Apache-2.0
"""Compressed files are read once, as what they hold; a file and its later .gz are one."""
import gzip
import json
import os
import random
import signal
import sqlite3
import subprocess
import zlib

import pytest

import harness
from harness import Writer, append, line, lines, numbers, until, whole_lines

READ = {"read_from_head": True, "rotate_wait": "50ms", "refresh_interval": "200ms"}


def tail(lab, pattern="app.log*", name="weir", **options):
    return lab.tail(lab.path(pattern), name=name, **{**READ, **options})


def once(weir, count, more=b""):
    """Waits for the lines 0 to count - 1, in any order, each once, and sees that no more come."""
    weir.wait_output(lambda data: len(whole_lines(data)) >= len(lines(0, count)) + len(more))
    assert sorted(numbers(whole_lines(weir.output()))) == list(range(count))


def compress(lab, name, new=None):
    """As gzip(1) does it: the .gz is complete before the file goes."""
    path = lab.path(name)
    target = lab.path(new or name + ".gz")
    target.write_bytes(gzip.compress(path.read_bytes()))
    path.unlink()
    return target


def exits(lab, data, name="app.log.1.gz", **options):
    """What weir makes of that file when it reads it to its end."""
    lab.path(name).write_bytes(data)
    weir = tail(lab, exit_on_eof=True, **options)
    weir.wait(0)
    return weir


# -- What it holds ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("data,wanted", [
    (gzip.compress(lines(0, 1000)), lines(0, 1000)),
    (gzip.compress(lines(0, 10)) + gzip.compress(lines(10, 20)) + gzip.compress(b"") + gzip.compress(lines(20, 30)),
     lines(0, 30)),
    (gzip.compress(b"begun") + gzip.compress(b" and ended\nlast"), b"begun and ended\nlast\n"),
    (gzip.compress(b""), b""),
    (gzip.compress(lines(0, 10)) + bytes(1000), lines(0, 10)),
    (b"", b""),
    (lines(0, 10), lines(0, 10)),
    (b"\x1f\x8b", b"\x1f\x8b\n"),
    (gzip.compress(lines(0, 100000, 200)), lines(0, 100000, 200)),
], ids=["whole", "members", "lines-across-members", "empty", "padded", "no-bytes", "plain", "two-bytes", "large"])
def test_what_it_holds(lab, data, wanted):
    weir = exits(lab, data)
    assert weir.output() == wanted
    assert "is not complete" not in weir.log_text() and "is corrupt" not in weir.log_text()


def with_header(flags, extra):
    """A member whose header has all that it may have."""
    body = zlib.compressobj(wbits=-15)
    data = body.compress(lines(0, 10)) + body.flush()
    return (b"\x1f\x8b\x08" + bytes([flags]) + bytes(6) + extra + data + zlib.crc32(lines(0, 10)).to_bytes(4, "little")
            + len(lines(0, 10)).to_bytes(4, "little"))


def test_header_fields(lab):
    data = with_header(0x1c, b"\x03\0xyz" + b"name\0" + b"comment\0")
    assert exits(lab, data).output() == lines(0, 10)


@pytest.mark.parametrize("what", ["sum", "data", "header", "length"])
def test_corrupt(lab, what):
    """What came before is delivered. (Of damaged data, that may be damaged itself.)"""
    data = bytearray(gzip.compress(lines(0, 5000)))
    at = {"sum": -8, "data": len(data) // 2, "header": 3, "length": -2}[what]
    data[at] ^= 0xff
    weir = exits(lab, bytes(data))
    whole = lines(0, 5000)
    common = len(os.path.commonprefix([weir.output(), whole]))
    assert common > 0 or what == "header"
    assert ("is corrupt at byte" in weir.log_text()) and weir.log_text().count("is corrupt") == 1
    if what in ("sum", "length"):
        assert weir.output() == lines(0, 5000)


def test_corrupt_file_is_abandoned_once(lab):
    """It is not read again, and a repaired one is."""
    data = bytearray(gzip.compress(lines(0, 100)))
    data[-8] ^= 0xff
    lab.path("app.log.1.gz").write_bytes(bytes(data))
    weir = tail(lab)
    weir.wait_log("is corrupt at byte")
    weir.stop()
    assert weir.output() == lines(0, 100)
    again = tail(lab, name="again")
    again.wait_log("is followed from")
    append(lab.path("app.log"), line(100))
    assert again.wait_line(100) == line(100)
    assert "is corrupt" not in again.log_text()
    again.stop()


def test_trailing_garbage(lab):
    weir = exits(lab, gzip.compress(lines(0, 100)) + b"garbage")
    assert weir.output() == lines(0, 100)
    assert "has 7 bytes behind its end that are no gzip: they are left out" in weir.log_text()


def test_truncated_at_the_end(lab):
    data = gzip.compress(lines(0, 5000))
    weir = exits(lab, data[:len(data) // 2])
    found = weir.output()
    assert 0 < len(found) and (lines(0, 5000)).startswith(found[:-1])
    assert "is not complete (%d bytes" % (len(data) // 2) in weir.log_text()


@pytest.mark.parametrize("compression,wanted", [("none", "raw"), ("gzip", "text"), ("auto", "text")])
def test_option(lab, compression, wanted):
    data = gzip.compress(b"text\n")
    lab.path("app.log").write_bytes(b"plain\n")
    weir = exits(lab, data, compression=compression)
    assert (b"text\n" in weir.output()) == (wanted == "text")
    assert (data in weir.output()) == (wanted == "raw")
    assert (b"plain\n" in weir.output()) == (compression != "gzip")
    assert ("app.log is not read: it is no gzip file" in weir.log_text()) == (compression == "gzip")


def test_excluded(lab):
    lab.path("app.log").write_bytes(lines(0, 10))
    weir = exits(lab, gzip.compress(b"not this\n"), exclude_path="*.gz")
    assert weir.output() == lines(0, 10)


def test_keys_and_encoding(lab):
    texts = ["größe", "zwei"]
    lab.path("a.gz").write_bytes(gzip.compress("\ufeff".encode("utf-16-be") + "".join(
        text + "\n" for text in texts).encode("utf-16-be")))
    weir = tail(lab, "a.gz", exit_on_eof=True, encoding="utf-16", path_key="file", offset_key="at",
                output={"format": "json_lines"})
    weir.wait(0)
    records = [json.loads(text) for text in weir.output().splitlines()]
    assert [record["log"] for record in records] == texts
    assert [record["at"] for record in records] == [0, 14]
    assert {record["file"] for record in records} == {str(lab.path("a.gz"))}


@pytest.mark.parametrize("treatment", ["split", "truncate", "skip"])
def test_long_lines_and_bombs(lab, treatment):
    """A hundred megabytes without a newline in a hundred kilobytes, between two lines."""
    weir = exits(lab, gzip.compress(b"first\n" + bytes(100 << 20) + b"\nlast\n"), buffer_max_size="1M",
                 long_lines=treatment)
    out = weir.output()
    assert out.startswith(b"first\n") and out.endswith(b"\nlast\n")
    assert out.count(b"\0") == {"split": 100 << 20, "truncate": 1 << 20, "skip": 0}[treatment]


def test_memory_is_bounded(lab):
    count = 10 if harness.SANITIZER else 40
    for number in range(count):
        lab.path("app.log.%d.gz" % number).write_bytes(gzip.compress(b"%d" % number + bytes(4 << 20) + b"\n"))
    weir = tail(lab, buffer_max_size="1M", long_lines="truncate", exit_on_eof=False)
    until(lambda: weir.out.stat().st_size >= count * ((1 << 20) + 1), lambda: "all; there are %d bytes" % weir.out.stat().st_size)
    limit = 400 if harness.SANITIZER else 60
    assert weir.memory() < limit << 20
    weir.stop()


# -- Where it begins ------------------------------------------------------------------------------------------


def test_first_start_leaves_old_ones_alone(lab):
    """Without read_from_head what is there is passed over, without being decompressed, unless it grows."""
    path = lab.path("app.log.1.gz")
    path.write_bytes(gzip.compress(lines(0, 1000)))
    weir = tail(lab, read_from_head=False)
    weir.wait_log("is followed from its end")
    append(path, gzip.compress(lines(1000, 1010)))
    assert weir.wait_line(1009) == lines(1000, 1010)
    lab.path("app.log.2.gz").write_bytes(gzip.compress(lines(1010, 1020)))
    weir.wait_line(1019)
    weir.stop()
    append(path, gzip.compress(lines(1020, 1030)))
    again = tail(lab, read_from_head=False, name="again")
    assert again.wait_line(1029) == lines(1020, 1030)
    again.stop()


def test_ignore_older(lab):
    path = lab.path("app.log.9.gz")
    path.write_bytes(gzip.compress(b"old\n"))
    os.utime(path, (1, 1))
    lab.path("app.log.1.gz").write_bytes(gzip.compress(lines(0, 10)))
    weir = tail(lab, ignore_older="1d")
    weir.wait_line(9)
    weir.wait_log("older than ignore_older")
    weir.stop()
    assert weir.output() == lines(0, 10)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL], ids=["stop", "kill-9"])
def test_restarts(lab, number):
    """Each goes on where it was; what is kept between them is a position in the content."""
    count, width, dice, output, runs = harness.scaled(50000), 150, random.Random(3), b"", 0
    whole = lines(0, count, width)
    lab.path("app.log.1.gz").write_bytes(gzip.compress(whole, 1))
    while len(output) < len(whole):
        read_end, write_end = os.pipe()
        weir = tail(lab, name="run%d" % runs, stdout=write_end,
                    service={"checkpoint_interval": "10ms", "memory_limit": "1M"})
        os.close(write_end)
        wanted, got = dice.randrange(len(whole) // 8, len(whole) // 3), b""
        with os.fdopen(read_end, "rb") as sink:
            got += sink.read(min(wanted, len(whole) - len(output)))
            weir.signal(number)
            got += sink.read()
        weir.wait(None)
        found = whole_lines(got)
        if number == signal.SIGTERM:
            output += got
        elif found:
            first = int(found[:9])
            assert first * width <= len(output), "a hole"
            output = output[:first * width] + found
        runs += 1
    assert output == whole
    assert runs > 1 or number == signal.SIGTERM  # which may come late
    last = tail(lab, name="last")
    append(lab.path("app.log"), line(count))
    last.wait_output(lambda data: line(count) in data)
    assert number == signal.SIGKILL or last.output() == line(count)
    last.stop()


def test_still_being_written(lab):
    data = gzip.compress(lines(0, 20000))
    path = lab.path("app.log.1.gz")
    path.write_bytes(b"")
    weir = tail(lab)
    step = len(data) // 50 + 1
    for at in range(0, len(data), step):
        append(path, data[at:at + step])
        if at == 10 * step:
            weir.wait_log("is not complete")
    weir.wait_line(19999)
    weir.stop()
    assert weir.output() == lines(0, 20000)
    assert "is corrupt" not in weir.log_text()


def test_appended_members(lab):
    path = lab.path("app.log.gz")
    path.write_bytes(gzip.compress(lines(0, 10)))
    weir = tail(lab)
    for number in range(1, 10):
        weir.wait_line(number * 10 - 1)
        append(path, gzip.compress(lines(number * 10, number * 10 + 10)))
    weir.wait_line(99)
    weir.stop()
    append(path, gzip.compress(lines(100, 110)))
    again = tail(lab, name="again")
    assert again.wait_line(109) == lines(100, 110)
    again.stop()
    assert weir.output() == lines(0, 100)


@pytest.mark.parametrize("live", [True, False], ids=["live", "restart"])
def test_rewritten_in_place(lab, live):
    path = lab.path("app.log.gz")
    path.write_bytes(gzip.compress(lines(0, 1000)))
    weir = tail(lab)
    weir.wait_line(999)
    if not live:
        weir.stop()
    path.write_bytes(gzip.compress(lines(1000, 1100)))
    if not live:
        weir = tail(lab, name="again")
    weir.wait_line(1099)
    weir.stop()
    assert weir.output() == (lines(0, 1100) if live else lines(1000, 1100))


def test_renamed_while_down_is_known(lab):
    for number in range(1, 4):
        lab.path("app.log.%d.gz" % number).write_bytes(gzip.compress(lines(number * 10, number * 10 + 10)))
    weir = tail(lab)
    weir.wait_output(lambda data: len(data) == len(lines(0, 30)))
    weir.stop()
    for number in (3, 2, 1):
        lab.path("app.log.%d.gz" % number).rename(lab.path("app.log.%d.gz" % (number + 1)))
    append(lab.path("app.log"), line(50))
    again = tail(lab, name="again")
    assert again.wait_line(50) == line(50)
    again.stop()


# -- A file and its later .gz ---------------------------------------------------------------------------------


@pytest.mark.parametrize("delay", [False, True], ids=["at-once", "delaycompress"])
def test_rotated_and_compressed_live(lab, delay):
    """Again and again, under load, as logrotate does it, with every name in the pattern."""
    writer_path = lab.path("app.log")
    writer_path.write_bytes(b"")
    weir = tail(lab)
    first = 0
    for turn in range(6):
        append(writer_path, lines(first, first + 2000))
        first += 2000
        for number in range(turn, 0, -1):
            for end in (".gz", ""):
                old = lab.path("app.log.%d%s" % (number, end))
                if old.exists():
                    old.rename(lab.path("app.log.%d%s" % (number + 1, end)))
        writer_path.rename(lab.path("app.log.1"))
        append(writer_path, lines(first, first + 10))
        first += 10
        plain = lab.path("app.log.2" if delay else "app.log.1")
        if plain.exists():
            subprocess.run(["gzip", str(plain)], check=True)
    once(weir, first)
    append(writer_path, line(first))
    weir.wait_output(lambda data: line(first) in data)
    folder = str(lab.folder)
    until(lambda: not [path for path in weir.descriptors().values() if path.startswith(folder) and "(deleted)" in path],
          "the old ones are closed")
    weir.stop()
    once(weir, first + 1)
    append(writer_path, line(first + 1))
    again = tail(lab, name="again")
    assert again.wait_line(first + 1) == line(first + 1)
    again.stop()


def committed(lab):
    with sqlite3.connect(lab.path("data") / "checkpoint.db") as db:
        return db.execute('SELECT max("offset") FROM stream').fetchone()[0]


@pytest.mark.parametrize("inode", ["renamed", "same-name"])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL], ids=["stop", "kill-9"])
def test_compressed_while_down(lab, inode, number):
    """Rotated, written to and compressed while nobody looked: what is left comes out of the .gz, and only that."""
    path = lab.path("app.log")
    path.write_bytes(lines(0, 1000))
    weir = tail(lab, service={"checkpoint_interval": "20ms"})
    weir.wait_line(999)
    until(lambda: committed(lab) == len(lines(0, 1000)), "the position is on disk")
    weir.signal(number)
    weir.wait(None)
    append(path, lines(1000, 1500))
    if inode == "renamed":
        path.rename(lab.path("app.log.1"))
        compress(lab, "app.log.1", "app.log.2.gz")
    else:
        compress(lab, "app.log")
    path.write_bytes(lines(1500, 1600))
    again = tail(lab, name="again")
    again.wait_output(lambda data: len(whole_lines(data)) >= len(lines(1000, 1600)))
    found = sorted(numbers(again.output()))
    assert found == list(range(1000, 1600))
    assert "compressed: it is read on from byte" in again.log_text()
    again.stop()
    append(path, line(1600))
    assert tail(lab, name="last").wait_line(1600) == line(1600)


def test_read_half_then_compressed_while_down(lab):
    """What takes its output stops in the middle, so weir does."""
    path = lab.path("app.log")
    path.write_bytes(lines(0, 200000))
    read_end, write_end = os.pipe()
    weir = tail(lab, stdout=write_end, service={"memory_limit": "1M", "checkpoint_interval": "10ms"})
    os.close(write_end)
    with os.fdopen(read_end, "rb") as sink:
        taken = sink.read(1000000)
        weir.kill()
        read = numbers(whole_lines(taken + sink.read()))
    path.rename(lab.path("app.log.1"))
    compress(lab, "app.log.1")
    again = tail(lab, name="again")
    again.wait_line(199999)
    found = numbers(again.output())
    assert found == list(range(found[0], 200000)) and found[0] <= read[-1] + 1 < 200000
    again.stop()


def test_same_beginning_is_not_enough(lab):
    """The same first kilobytes, another file: both are read."""
    head = b"".join(b"# header %04d\n" % number for number in range(200))
    lab.path("app.log").write_bytes(head + lines(0, 10))
    lab.path("app.log.1.gz").write_bytes(gzip.compress(head + lines(10, 20)))
    lab.path("app.log.2.gz").write_bytes(gzip.compress(head))
    weir = tail(lab)
    weir.wait_output(lambda data: data.count(b"\n") >= 2 * 210)
    data = weir.output()
    assert sorted(numbers(b"".join(text for text in data.splitlines(True) if text[0:1] != b"#"))) == list(range(20))
    weir.stop()
    # the third says no more than the first: what it says has come
    assert data.count(b"# header 0000\n") == 2


def test_compressed_one_beside_its_file(lab):
    """gzip -k: the file goes on being followed, the .gz says nothing new."""
    path = lab.path("app.log")
    path.write_bytes(lines(0, 1000))
    weir = tail(lab)
    weir.wait_line(999)
    lab.path("app.log.gz").write_bytes(gzip.compress(path.read_bytes()))
    weir.wait_log("says what a file says that is followed already")
    append(path, lines(1000, 1010))
    weir.wait_line(1009)
    weir.stop()
    again = tail(lab, name="again")
    append(path, line(1010))
    assert again.wait_line(1010) == line(1010)
    again.stop()
    assert weir.output() == lines(0, 1010)


def test_beside_its_file_to_the_end(lab):
    lab.path("app.log").write_bytes(lines(0, 1000))
    weir = exits(lab, gzip.compress(lines(0, 1000)))
    assert weir.output() == lines(0, 1000)


def test_copied_truncated_and_compressed(lab):
    """What was written between the last look and the truncation is in the copy, and comes out of it."""
    path = lab.path("app.log")
    path.write_bytes(lines(0, 1000))
    weir = lab.tail("%s,%s" % (path, lab.path("app.log.*.gz")), **READ)
    weir.wait_line(999)
    weir.freeze()
    append(path, lines(1000, 1100))
    copy = path.read_bytes()
    path.write_bytes(lines(1100, 1110))
    weir.thaw()
    weir.wait_output(lambda data: line(1109) in data)
    lab.path("app.log.1.gz").write_bytes(gzip.compress(copy))
    once(weir, 1110)
    weir.stop()


@pytest.mark.parametrize("content", ["truncated", "written-on"])
def test_crowded_start_looks_for_the_renamed_first(lab, content):
    """Copied, the copy compressed, and renamed out of the patterns while nobody looked. More files than may be open wait at
    the start, so the .gz has its turn before the search for what was renamed: it must not take the position that leads to
    the file."""
    path = lab.path("c.log")
    path.write_bytes(lines(0, 1000))
    patterns = "%s,%s,%s" % (lab.path("*.gz"), path, lab.path("other*.log"))
    options = {**READ, "max_open_files": 2, "exclude_regex": "^other"}
    weir = lab.tail(patterns, **options)
    weir.wait_line(999)
    weir.stop()
    append(path, lines(1000, 1100))
    lab.path("c.log.1.gz").write_bytes(gzip.compress(path.read_bytes()))
    if content == "truncated":
        path.write_bytes(lines(1100, 1200))
    else:
        append(path, lines(1100, 1200))
    path.rename(lab.path("c.old"))
    for number in range(40):
        lab.path("other%02d.log" % number).write_bytes(b"other\n")
    again = lab.tail(patterns, name="again", **options)
    again.wait_output(lambda data: len(whole_lines(data)) >= len(lines(1000, 1200)))
    again.wait_log("c.old was renamed while nobody looked")
    again.stop()
    assert sorted(numbers(again.output())) == list(range(1000, 1200))


# -- Beside others -------------------------------------------------------------------------------------------


def test_others_are_served(lab):
    """A line of another file comes while a large one is decompressed, of which weir hears first."""
    packed, other = lab.path("app.log.1.gz"), lab.path("other.log")
    content = gzip.compress(lines(0, 1000) * 4000 + b"its end\n", 1)
    packed.write_bytes(content[:2000])
    other.write_bytes(b"")
    weir = lab.tail("%s,%s" % (other, packed), **READ, include_regex="^other|^its end")
    until(lambda: weir.has_open(other), "the other file is open")
    weir.wait_log("app.log.1.gz, which is compressed, is followed")
    weir.freeze()
    append(packed, content[2000:])
    append(other, b"other\n")
    weir.thaw()
    weir.wait_output(lambda data: b"its end\n" in data)
    weir.stop()
    assert weir.output() == b"other\nits end\n"


def test_paused_in_the_middle(lab):
    """Nothing is lost while the output takes nothing, and the readers of others are not held up."""
    read_end, write_end = os.pipe()
    for number in range(12):
        lab.path("app.log.%d.gz" % number).write_bytes(gzip.compress(lines(number * 20000, number * 20000 + 20000)))
    weir = tail(lab, stdout=write_end, service={"memory_limit": "1M"})
    os.close(write_end)
    got = b""
    while got.count(b"\n") < 240000:
        data = os.read(read_end, 1 << 16)
        assert data, weir.log_text()
        got += data
    weir.stop()
    os.close(read_end)
    assert sorted(numbers(got)) == list(range(240000))


def test_many(lab):
    count = harness.scaled(300, 50)
    for number in range(count):
        lab.path("app.log.%d.gz" % number).write_bytes(gzip.compress(lines(number * 10, number * 10 + 10)))
    weir = tail(lab, max_open_files=20)
    once(weir, count * 10)
    weir.stop()
    again = tail(lab, name="again", max_open_files=20)
    append(lab.path("app.log"), line(count * 10))
    assert again.wait_line(count * 10) == line(count * 10)
    again.stop()


def test_those_that_are_through_make_room(lab):
    """Whole and sent, they are closed where max_open_files asks for their place, not after rotate_wait; one that grows by
    a member is opened again."""
    for number in range(6):
        lab.path("app.log.%d.gz" % number).write_bytes(gzip.compress(lines(number * 10, number * 10 + 10)))
    weir = tail(lab, max_open_files=3, rotate_wait="10m")
    once(weir, 60)
    append(lab.path("app.log"), lines(60, 70))
    once(weir, 70)
    append(lab.path("app.log.0.gz"), gzip.compress(lines(70, 80)))
    once(weir, 80)
    weir.stop()


@pytest.mark.parametrize("how", ["removed", "truncated"])
def test_file_goes_while_its_gz_is_compared(lab, how):
    """What they have in common is compared with the file as long as that says it, and then with what is kept of it."""
    path, packed, other = lab.path("app.log"), lab.path("app.log.1.gz"), lab.path("app.log.other")
    path.write_bytes(lines(0, 1000))
    weir = tail(lab, close_inactive="50ms" if how == "removed" else 0, rotate_wait="10m")
    once(weir, 1000)
    until(lambda: how == "truncated" or not weir.has_open(path), "it is closed, having nothing new")
    content = gzip.compress(path.read_bytes())
    packed.write_bytes(content[:len(content) // 2])
    until(lambda: weir.has_open(packed), "the .gz is open")
    for number in (1000, 1001):  # and had its turn
        append(other, line(number))
        once(weir, number + 1)
    weir.freeze()
    append(packed, content[len(content) // 2:])  # of which weir hears first
    if how == "removed":
        path.unlink()
    path.write_bytes(line(1002))  # of a new file most likely with the same inode
    weir.thaw()
    weir.wait_log("compressed: it is read on from byte")
    once(weir, 1003)
    weir.stop()
    once(weir, 1003)


def test_written_to_while_another_is_compressed(lab):
    """A writer goes on, the rotated files become .gz under it."""
    path = lab.path("app.log")
    path.write_bytes(b"")
    weir = tail(lab)
    writer = Writer(path, 20000)
    until(lambda: writer.written > 2000, "lines")
    end = writer.stop()
    path.rename(lab.path("app.log.1"))
    writer = Writer(path, 20000, first=end)
    subprocess.run(["gzip", str(lab.path("app.log.1"))], check=True)
    until(lambda: writer.written > end + 2000, "lines")
    count = writer.stop()
    once(weir, count)
    weir.stop()
    once(weir, count)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL], ids=["stop", "kill-9"])
def test_records_of_several_lines(lab, number):
    """Joined as from a plain file, also across a restart within one, and read on from a plain file."""
    records = [b"begin %d\n" % record + b"".join(b"  more %d.%d\n" % (record, at) for at in range(record % 7))
               for record in range(4000)]
    joins = {"multiline.start_pattern": "^begin", "multiline.flush_timeout": "10s", "output": {"format": "json_lines"}}
    lab.path("app.log").write_bytes(b"".join(records[:1000]))
    first = tail(lab, name="first", service={"checkpoint_interval": "10ms"}, **joins)
    first.wait_output(lambda data: b"begin 998" in data)
    first.signal(number)
    first.wait(None)
    append(lab.path("app.log"), b"".join(records[1000:]))
    lab.path("app.log").rename(lab.path("app.log.1"))
    compress(lab, "app.log.1")
    second = tail(lab, name="second", **joins)
    second.wait_output(lambda data: b"begin 3999" in data)
    second.stop()
    came = whole_lines(first.output()) + second.output()
    found = [json.loads(text)["log"].encode() + b"\n" for text in came.splitlines()]
    assert set(found) == set(records)
    assert number == signal.SIGKILL or found == records
