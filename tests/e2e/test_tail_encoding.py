# SPDX-License-Identifier: Apache-2.0
"""Files that are not in UTF-8 come out in UTF-8, line for line, wherever reads, restarts and rotations cut them."""
import codecs
import json
import os
import signal

import pytest

import harness
from harness import append, lines, run, scaled, until, whole_lines

TEXTS = ["plain", "", "Größe 42 €", "日本語のログ", "a\tb\r", "ends"]
WIDE = ["😀 beyond the basic plane", "\u0a0d\u0d0a\u000b no newline \u0a00"]
MARKS = {"utf-16-le": codecs.BOM_UTF16_LE, "utf-16-be": codecs.BOM_UTF16_BE, "utf-32-le": codecs.BOM_UTF32_LE,
         "utf-32-be": codecs.BOM_UTF32_BE, "utf-8": codecs.BOM_UTF8}


def encoded(texts, encoding, mark=b""):
    return mark + "".join(text + "\n" for text in texts).encode(encoding)


def start(lab, path, encoding, **options):
    return lab.tail(path, encoding=encoding, **options)


def check(weir, texts):
    wanted = "".join(text + "\n" for text in texts).encode()
    weir.wait_output(lambda data: len(data) >= len(wanted), "%d bytes" % len(wanted))
    assert weir.output() == wanted


@pytest.mark.parametrize("encoding,python,mark,texts", [
    ("utf-16", "utf-16-le", True, TEXTS + WIDE), ("UTF-16", "utf-16-be", True, TEXTS + WIDE),
    ("utf-16", "utf-16-le", False, TEXTS + WIDE), ("utf-16le", "utf-16-le", True, TEXTS + WIDE),
    ("utf-16be", "utf-16-be", False, TEXTS + WIDE), ("utf-16be", "utf-16-be", True, TEXTS + WIDE),
    ("utf-32", "utf-32-be", True, TEXTS + WIDE), ("utf-32le", "utf-32-le", False, TEXTS + WIDE),
    ("utf-8", "utf-8", True, TEXTS + WIDE), ("utf-8", "utf-8", False, TEXTS + WIDE),
    ("latin1", "latin-1", False, ["Größe", "\xa0\xff", ""]), ("iso-8859-15", "iso-8859-15", False, ["Größe 42 €"]),
    ("windows-1252", "cp1252", False, ["“quoted” €"]), ("shift_jis", "shift_jis", False, ["日本語のログ", "表示ソ"]),
    ("euc-jp", "euc_jp", False, ["日本語のログ"]), ("gbk", "gbk", False, ["中文日志", "a"]), ("big5", "big5", False, ["中文"]),
    ("koi8-r", "koi8_r", False, ["журнал"]),
], ids=lambda value: str(value) if isinstance(value, (str, bool)) else "")
def test_encoding(lab, encoding, python, mark, texts):
    path = lab.path("a.log")
    path.write_bytes(encoded(texts, python, MARKS[python] if mark else b""))
    weir = start(lab, path, encoding)
    check(weir, texts)
    append(path, encoded(texts, python))
    check(weir, texts + texts)
    weir.stop()


@pytest.mark.parametrize("encoding,python", [("utf-16", "utf-16-le"), ("utf-16", "utf-16-be"), ("shift_jis", "shift_jis")])
def test_written_byte_by_byte(lab, encoding, python):
    path = lab.path("a.log")
    texts = ["日本語のログ", "", "x"]
    data = encoded(texts, python, MARKS.get(python, b""))
    path.write_bytes(b"")
    weir = start(lab, path, encoding, inotify_watcher=False, poll_interval="10ms")
    for i in range(len(data)):
        append(path, data[i:i + 1])
        if i % 7 == 0:
            until(lambda: path.stat().st_size == i + 1, "the byte")
    check(weir, texts)
    weir.stop()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL], ids=["stop", "kill-9"])
def test_across_restarts(lab, number):
    """A line cut in the middle of a character waits for its rest."""
    path = lab.path("a.log")
    texts = ["%06d größe 日本" % i for i in range(300)]
    data = encoded(texts, "utf-16-be", codecs.BOM_UTF16_BE)
    path.write_bytes(b"")
    output = b""
    for i in range(5):
        append(path, data[i * len(data) // 5 | 1:(i + 1) * len(data) // 5 | 1] if i else data[:len(data) // 5 | 1])
        weir = start(lab, path, "utf-16", name="w%d" % i)
        weir.wait_log("is followed from")
        wanted = path.read_bytes()[2:].decode("utf-16-be", "ignore").count("\n")
        until(lambda: (output + weir.output()).count(b"\n") >= wanted, "the lines so far")
        weir.signal(number)
        weir.wait(None)
        output += whole_lines(weir.output()) if number == signal.SIGKILL else weir.output()
    append(path, data[len(path.read_bytes()):])
    weir = start(lab, path, "utf-16", name="last")
    weir.wait_log("is followed from")
    until(lambda: texts[-1].encode() + b"\n" in output + weir.output(), "the last line")
    weir.stop()
    found = (output + weir.output()).decode().splitlines()
    assert set(found) == set(texts)
    if number == signal.SIGTERM:
        assert found == texts


def test_across_reads(lab):
    """Lines lie across the ends of reads, at odd places."""
    path = lab.path("a.log")
    texts = ["%05d %s" % (i, "ä日" * (i % 50)) for i in range(scaled(5000, 1000))]
    path.write_bytes(encoded(texts, "utf-16-le", codecs.BOM_UTF16_LE))
    weir = start(lab, path, "utf-16", buffer_chunk_size=4096)
    check(weir, texts)
    weir.stop()


@pytest.mark.parametrize("encoding,python", [("utf-16le", "utf-16-le"), ("gbk", "gbk"), ("utf-8", "utf-8")])
@pytest.mark.parametrize("treatment", ["split", "truncate", "skip"])
def test_long_lines(lab, encoding, python, treatment):
    """No character is cut in two; neighbours are whole."""
    path = lab.path("a.log")
    long_one = "x" + "中文日志" * 3000
    texts = ["before", long_one, "after"]
    path.write_bytes(encoded(texts, python))
    weir = start(lab, path, encoding, buffer_max_size=1001, buffer_chunk_size=4096, long_lines=treatment)
    weir.wait_output(lambda data: data.endswith(b"after\n"))
    weir.stop()
    found = weir.output().decode().splitlines()
    assert found[0] == "before" and found[-1] == "after"
    if treatment == "split":
        assert "".join(found[1:-1]) == long_one and all(len(part.encode(python)) <= 1001 for part in found)
    elif treatment == "truncate":
        assert len(found) == 3 and long_one.startswith(found[1]) and len(found[1]) > 200
    else:
        assert len(found) == 2


def test_rest_at_rotation(lab):
    """An unfinished line is delivered when its file goes; half a character of it is U+FFFD."""
    path = lab.path("a.log")
    path.write_bytes(encoded(["whole"], "utf-16-le", codecs.BOM_UTF16_LE) + "reßt".encode("utf-16-le") + b"x")
    weir = start(lab, path, "utf-16", rotate_wait="50ms")
    weir.wait_output(lambda data: data == b"whole\n")
    os.rename(path, lab.path("a.log.1"))
    path.write_bytes(encoded(["new"], "utf-16-be", codecs.BOM_UTF16_BE))
    weir.wait_output(lambda data: data.count(b"\n") == 3)
    weir.stop()
    assert sorted(weir.output().decode().splitlines()) == sorted(["whole", "reßt\ufffd", "new"])


def test_truncated_under_a_writer_without_append(lab):
    """The hole is skipped up to a character's beginning."""
    path = lab.path("a.log")
    with open(path, "wb", buffering=0) as writer:
        writer.write(encoded(["one"], "utf-16-be"))
        weir = start(lab, path, "utf-16be")
        weir.wait_output(lambda data: data == b"one\n")
        os.truncate(path, 0)
        writer.write(encoded(["two"], "utf-16-be"))
        weir.wait_output(lambda data: data.endswith(b"two\n"))
    weir.stop()
    assert weir.output() == b"one\ntwo\n"


def test_what_is_no_character(lab):
    path = lab.path("a.log")
    path.write_bytes(b"good\n" + b"a\xffb\xc3(\xe2\x82\n" + b"\xc3\n" + b"end\n")
    weir = start(lab, path, "utf-8")
    weir.wait_output(lambda data: data.endswith(b"end\n"))
    weir.stop()
    found = weir.output().decode().splitlines()
    assert found[0] == "good" and found[-1] == "end" and len(found) == 4
    assert found[1].startswith("a\ufffdb\ufffd(") and found[2] == "\ufffd"


def test_regex_and_empty_lines_see_text(lab):
    path = lab.path("a.log")
    path.write_bytes(encoded(["keep größe", "", "drop", "keep 2"], "utf-16-le"))
    weir = start(lab, path, "utf-16", include_regex="^keep|^$", skip_empty_lines=True, exclude_regex="2$")
    weir.wait_output(lambda data: data == "keep größe\n".encode())
    append(path, encoded(["keep ß"], "utf-16-le"))
    weir.wait_output(lambda data: data == "keep größe\nkeep ß\n".encode())
    weir.stop()


def test_unknown_encoding(lab):
    config = lab.config([{"name": "tail", "path": "/tmp/x", "encoding": "utf-17"}], [{"name": "stdout", "match": "*"}])
    status, _, error = run(["check", "-c", config], lab.folder)
    assert status == 1 and b"utf-17" in error and b"encoding" in error


def test_offsets_are_of_the_file(lab):
    path = lab.path("a.log")
    path.write_bytes(encoded(["ab", "cd"], "utf-16-le", codecs.BOM_UTF16_LE))
    weir = start(lab, path, "utf-16", offset_key="at", output={"format": "json_lines", "json_date_format": "none"})
    weir.wait_output(lambda data: data.count(b"\n") == 2)
    weir.stop()
    assert [json.loads(text)["at"] for text in weir.output().splitlines()] == [0, 8]
