# SPDX-License-Identifier: Apache-2.0
"""in_tail's options that choose lines and files."""
import os
import time

import pytest

import harness
from harness import append, line, lines, numbers, until


@pytest.mark.parametrize("options,wanted", [
    ({"include_regex": "ERROR|WARN"}, [1, 3, 5]),
    ({"exclude_regex": "^debug"}, [1, 2, 3, 5]),
    ({"include_regex": "ERROR|WARN", "exclude_regex": "health$"}, [1, 3]),
    ({"include_regex": "(?i)error"}, [1, 3, 4, 5]),
])
def test_regex_chooses_lines(lab, options, wanted):
    text = {1: b"ERROR a", 2: b"info", 3: b"WARN error \xff\0", 4: b"debug error", 5: b"ERROR of health\r"}
    path = lab.path("a.log")
    path.write_bytes(b"".join(value + b"\n" for value in text.values()))
    weir = lab.tail(path, exit_on_eof=True, **options)
    weir.wait(0)
    assert weir.output() == b"".join(text[number] + b"\n" for number in wanted)


def test_regex_position_moves_over_what_is_left_out(lab):
    """Unwanted lines are read once; also the last one, which has no newline."""
    path = lab.path("a.log")
    path.write_bytes(b"no\n" * 1000 + b"no")
    weir = lab.tail(path, name="one", include_regex="yes", exit_on_eof=True)
    weir.wait(0)
    append(path, b"\nyes\n")
    weir = lab.tail(path, name="one", exit_on_eof=True, skip_empty_lines=True)
    weir.wait(0)
    assert weir.output() == b"yes\n"


def test_bad_regex_is_an_error(lab):
    config = lab.config([{"name": "tail", "path": "x", "tag": "t", "exclude_regex": "a(b"}],
                        [{"name": "stdout", "match": "*"}])
    status, _, text = harness.run(["check", "-c", config], lab.folder)
    assert status == 1
    assert b"exclude_regex: 'a(b' is no regular expression" in text
