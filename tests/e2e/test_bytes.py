# SPDX-License-Identifier: Apache-2.0
"""What a file says comes out byte for byte; as JSON it is always JSON."""
import json
import os
import random
import select
import tty

import pytest

import harness
from harness import append

MEBIBYTE = 1 << 20


def nasty():
    """Empty lines, CR, NUL, bytes that are no UTF-8, characters of every length, and a line of 3 MB."""
    dice = random.Random(7)
    parts = [
        b"", b"", b"plain", b"carriage\r", b"\r", b"mid\rdle", b"\0", b"nul\0inside\0", b"\xff\xfe no UTF-8 \x80",
        b"cut \xe2\x82", b"overlong \xc0\xaf", b"surrogate \xed\xa0\x80", b"too high \xf5\x80\x80\x80",
        "ä € 😀 \u2028".encode(), b"quote \" backslash \\ slash / tab \t bell \x07 del \x7f",
        bytes(value for value in range(256) if value != 10),
        bytes(dice.choice(range(32, 127)) for _ in range(3 * MEBIBYTE)),
        b"after the long one", b" ", b"\t",
    ]
    parts += [bytes(dice.choice([9, 13, 0, 34, 92, 65, 128, 195, 169, 255]) for _ in range(dice.randrange(200)))
              for _ in range(harness.scaled(20000, 500))]
    parts += [b"", b"the end"]
    return b"\n".join(parts) + b"\n"


def run_once(lab, data, *sink):
    path = lab.path("in.log")
    path.write_bytes(data)
    return harness.run(["-i", "tail", "-p", "path=%s" % path, "-p", "read_from_head=true", "-p", "exit_on_eof=true",
                        "-p", "buffer_max_size=8M", "-o", "stdout", *sink], lab.folder)


def test_raw_is_the_same_bytes(lab):
    data = nasty()
    status, out, err = run_once(lab, data, "-p", "format=raw")
    assert status == 0, err
    assert out == data


def test_raw_is_the_same_bytes_with_default_options(lab):
    """As a user types it: the 3 MB line needs no option."""
    data = nasty()
    path = lab.path("in.log")
    path.write_bytes(data)
    status, out, err = harness.run(
        ["-i", "tail", "-p", "path=%s" % path, "-p", "read_from_head=true", "-p", "exit_on_eof=true", "-o", "stdout",
         "-p", "format=raw"], lab.folder)
    assert status == 0, err
    assert out == data


def test_json_lines_is_valid_whatever_the_bytes(lab):
    data = nasty()
    status, out, err = run_once(lab, data, "-p", "format=json_lines")
    assert status == 0, err
    text = out.decode("utf-8", errors="strict")
    assert text.endswith("\n")
    written = text[:-1].split("\n")
    expected = data[:-1].split(b"\n")
    assert len(written) == len(expected)
    for got, line in zip(written, expected):
        record = json.loads(got)
        assert list(record) == ["date", "log"]
        try:
            wanted = line.decode("utf-8")
        except UnicodeDecodeError:
            # How many U+FFFD stand for a bad run differs between decoders; what is good must be there.
            assert "\ufffd" in record["log"]
            continue
        assert record["log"] == wanted


@pytest.mark.parametrize("data", [b"", b"\n", b"x\n", b"\n\n\n", b"a\nb"])
def test_small_files(lab, data):
    status, out, err = run_once(lab, data, "-p", "format=raw")
    assert status == 0, err
    # The end of a file that is read once ends its last line, too; raw puts a newline after each record.
    assert out == (data if data.endswith(b"\n") or not data else data + b"\n")


def test_msgpack_is_event_time_and_map(lab):
    status, out, err = run_once(lab, b"one\ntwo\n", "-p", "format=msgpack")
    assert status == 0, err
    found = []
    while out:
        # [ext8 or fixext8 of type 0, {"log": text}]
        assert out[0] == 0x92
        assert out[1:3] == b"\xd7\x00" and 0 <= int.from_bytes(out[7:11], "big") < 1000000000
        assert out[11] == 0x81 and out[12:16] == b"\xa3log"
        length = out[16] & 0x1F
        assert out[16] & 0xE0 == 0xA0
        found.append(out[17:17 + length])
        out = out[17 + length:]
    assert found == [b"one", b"two"]


@pytest.mark.parametrize("form,check", [
    ("double", lambda value: isinstance(value, float)),
    ("iso8601", lambda value: isinstance(value, str) and value[4] == "-" and "T" in value),
    ("epoch", lambda value: isinstance(value, int) and value < 10**10),
    ("epoch_ms", lambda value: isinstance(value, int) and value > 10**12),
])
def test_date_formats(lab, form, check):
    status, out, err = run_once(lab, b"x\n", "-p", "json_date_format=" + form, "-p", "json_date_key=when")
    assert status == 0, err
    record = json.loads(out)
    assert list(record) == ["when", "log"] and check(record["when"])


def test_no_date(lab):
    status, out, err = run_once(lab, b"x\n", "-p", "json_date_format=none")
    assert (status, json.loads(out)) == (0, {"log": "x"}), err


def test_message_key(lab):
    path = lab.path("in.log")
    path.write_bytes(b"x\ny\n")
    status, out, err = harness.run(
        ["-i", "tail", "-p", "path=%s" % path, "-p", "read_from_head=true", "-p", "exit_on_eof=true", "-p", "key=text",
         "-o", "stdout", "-p", "format=raw", "-p", "message_key=text"], lab.folder)
    assert (status, out) == (0, b"x\ny\n"), err


CONTROLS = b"a\x7fb" + "".join(chr(code) for code in range(0x80, 0xa0)).encode() + "\u00a0\u00e4\u20ac".encode() + b"\xc2"


def read_terminal(near, wanted):
    found = b""
    while wanted not in found:
        assert select.select([near], [], [], harness.DEADLINE)[0], found
        found += os.read(near, 65536)
    return found


@pytest.mark.parametrize("format", ["json_lines", "raw"])
def test_a_terminal_is_not_given_orders(lab, format):
    """DEL and the C1 controls, which JSON lets through, are escapes there; elsewhere, and in raw, they are what they were."""
    append(lab.path("a.log"), CONTROLS + b"\nend\n")
    near, far = os.openpty()
    tty.setraw(far)
    weir = lab.tail(lab.path("a.log"), stdout=far, output={"format": format})
    found = read_terminal(near, b"end")
    weir.stop()
    os.close(near)
    os.close(far)
    weir = lab.tail(lab.path("a.log"), name="file", output={"format": format}, service={"data_dir": lab.path("other")})
    elsewhere = weir.wait_output(lambda data: b"end" in data)
    weir.stop()
    if format == "raw":
        assert found.startswith(CONTROLS + b"\n") and elsewhere.startswith(CONTROLS + b"\n")
        return
    first, text = found.splitlines()[0], elsewhere.splitlines()[0]
    assert b"\\u007f" in first and b"\\u009b" in first and b"\x7f" not in first and b"\xc2\x9b" not in first
    assert b"\x7f" in text and b"\xc2\x9b" in text
    assert json.loads(first)["log"] == json.loads(text)["log"] == CONTROLS[:-1].decode() + "\ufffd"
