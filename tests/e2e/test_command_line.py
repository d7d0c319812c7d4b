# SPDX-License-Identifier: Apache-2.0
"""weir's commands and the configuration without a file."""
import pytest

import harness


def weir(lab, *args, **kwargs):
    return harness.run(args, lab.folder, **kwargs)


def test_version(lab):
    status, out, err = weir(lab, "--version")
    assert status == 0 and out.startswith(b"weir ") and err == b""


@pytest.mark.parametrize("args", [["--help"], ["-h"]])
def test_help(lab, args):
    status, out, err = weir(lab, *args)
    assert status == 0 and err == b""
    for word in (b"-c", b"-i", b"-o", b"-p", b"-m", b"check", b"plugins"):
        assert word in out


@pytest.mark.parametrize("args", [
    [], ["-c"], ["-x"], ["--nothing"], ["nothing"], ["check"], ["-i", "tail"], ["-o", "stdout"], ["-p", "path=x"],
    ["-i", "tail", "-p", "path"], ["-i", "tail", "-p", "path=x", "-o"], ["-i", "tail", "-p", "path=x", "-m", "x"],
    ["plugins", "nothinglikeit"], ["-c", "a.yaml", "-i", "tail"],
])
def test_wrong_command_lines(lab, args):
    """Status 1, words on standard error, nothing on standard output."""
    status, out, err = weir(lab, *args)
    assert status == 1, err
    assert out == b"" and err.strip()
    assert len(err.splitlines()) <= 3, err


def test_misspelt_option_on_the_command_line(lab):
    status, _, err = weir(lab, "-i", "tail", "-p", "path=x", "-p", "read_from_haed=on", "-o", "stdout")
    assert status == 1
    assert len(err.splitlines()) == 1 and b"read_from_haed" in err and b"read_from_head" in err


def test_plugins_lists_those_beside_the_binary(lab):
    status, out, err = weir(lab, "plugins")
    assert status == 0, err
    assert b"tail" in out and b"stdout" in out


@pytest.mark.parametrize("name,words", [
    ("tail", ["path", "read_from_head", "exclude_path", "exit_on_eof", "key", "path_key", "offset_key",
              "skip_empty_lines", "buffer_max_size"]),
    ("stdout", ["format", "json_lines", "raw", "msgpack", "json_date_key", "message_key"]),
])
def test_plugins_documents_options(lab, name, words):
    status, out, err = weir(lab, "plugins", name)
    assert status == 0, err
    for word in words:
        assert word.encode() in out


def test_plugin_path_from_the_environment(lab):
    import os
    status, out, err = weir(lab, "plugins", env=dict(os.environ, WEIR_PLUGIN_PATH=str(lab.folder)))
    assert status in (0, 1), err


def test_match_on_the_command_line(lab):
    path = lab.path("in.log")
    path.write_bytes(b"x\n")
    head = ["-i", "tail", "-p", "path=%s" % path, "-p", "tag=a.b", "-p", "read_from_head=true", "-p",
            "exit_on_eof=true", "-o", "stdout", "-p", "format=raw"]
    status, out, err = weir(lab, *head, "-m", "a.*")
    assert (status, out) == (0, b"x\n"), err
    status, out, err = weir(lab, *head)
    assert (status, out) == (0, b"x\n"), err


def test_nothing_is_kept_without_a_data_dir(lab):
    """The form without a file reads the same again each time, and leaves nothing behind."""
    path = lab.path("in.log")
    path.write_bytes(b"x\n")
    for _ in range(2):
        status, out, err = weir(lab, "-i", "tail", "-p", "path=%s" % path, "-p", "read_from_head=true", "-p",
                                "exit_on_eof=true", "-o", "stdout", "-p", "format=raw")
        assert (status, out) == (0, b"x\n"), err
    assert [entry.name for entry in lab.folder.iterdir()] == ["in.log"]
