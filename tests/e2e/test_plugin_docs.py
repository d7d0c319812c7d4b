# SPDX-License-Identifier: Apache-2.0
"""docs/plugin-authors.md: its commands are run as they stand, and its code compiles; against an installed weir alone."""
import re

import pytest

from harness import ROOT
from plugin_kit import kit  # noqa: F401

pytestmark = pytest.mark.one_build

TEXT = (ROOT / "docs" / "plugin-authors.md").read_text()
BLOCKS = re.findall(r"^```(\w*)\n(.*?)^```$", TEXT, re.S | re.M)
CODE = [text for kind, text in BLOCKS if kind == "c"]
COMMANDS = [text for kind, text in BLOCKS if kind == "sh"]

# What the pieces that are no whole file stand in.
AROUND = """
#define _GNU_SOURCE
#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <weir/event.h>
#include <weir/fake_host.h>
#include <weir/json.h>
#include <weir/plugin.h>
struct self {
    const struct weir_host *host;
    struct weir_instance *instance;
    struct weir_stream *stream;
    struct weir_metric *sent, *open;
    uint64_t offset;
    bool stopping;
};
bool read_some(struct self *self);
"""


def test_what_there_is():
    assert len(CODE) >= 11 and len(COMMANDS) == 2
    assert {kind for kind, _ in BLOCKS} <= {"c", "sh", ""}, "a kind of code that nothing here checks"
    for heading in ("A first plugin", "The life of an instance", "Threads", "Memory and ownership", "Errors and retry",
                    "Positions and acknowledgements", "Options", "Metrics", "Testing", "What is promised", "Packaging"):
        assert "\n## %s\n" % heading in TEXT


def test_the_first_page_line_by_line(lab, kit):  # noqa: F811
    """In a clean directory, with only what is installed. Each line is run by itself, as somebody would paste it."""
    folder = lab.path("clean")
    folder.mkdir()
    said = ""
    for line in COMMANDS[0].splitlines():
        if line.startswith("cd "):
            folder = folder / line[3:]
            assert folder.is_dir()
            continue
        said = kit.run("sh", "-c", line, cwd=folder)
        if line.startswith("ctest"):
            assert "100% tests passed, 0 tests failed out of 2" in said
        if "check-plugin" in line:
            assert said.endswith("Nothing wrong was found.\n"), said
    assert said == "first\nsecond\n"


def test_the_smallest_output(lab, kit):  # noqa: F811
    whole = [text for text in CODE if "weir_plugin_descriptor =" in text]
    assert len(whole) == 1
    lab.path("out_null.c").write_text(whole[0])
    kit.run("sh", "-c", COMMANDS[1], cwd=lab.folder)
    lab.path("in.log").write_text("x\n")
    kit.run("weir", "-e", "out_null.so", "-i", "tail", "-p", "path=in.log", "-p", "read_from_head=on", "-p",
            "exit_on_eof=on", "-o", "null", cwd=lab.folder)
    assert "Nothing wrong was found." in kit.run("weir", "check-plugin", "out_null.so", "--cycles", "50", cwd=lab.folder)


@pytest.mark.parametrize("number", range(len(CODE)))
def test_every_piece_compiles(lab, kit, number):  # noqa: F811
    text = CODE[number]
    whole = "#include <weir/plugin.h>" in text
    lab.path("piece.c").write_text(text if whole else AROUND + text)
    kit.run("sh", "-c", "cc -std=c11 -Wall -Wextra -Werror -Wno-unused-function -Wno-unused-variable "
            "-Wno-unused-const-variable -c piece.c $(pkg-config --cflags weir)", cwd=lab.folder)


def test_links_lead_somewhere():
    for link in re.findall(r"\]\(([^)]+)\)", TEXT):
        assert (ROOT / "docs" / link.split("#")[0]).resolve().exists(), link
