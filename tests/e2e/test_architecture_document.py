# SPDX-License-Identifier: Apache-2.0
"""docs/ARCHITECTURE.md's table of the core's files names those that are, and all of them."""
import fnmatch
import re

import pytest

from harness import ROOT

DOCUMENT = (ROOT / "docs" / "ARCHITECTURE.md").read_text(encoding="utf-8")


@pytest.mark.one_build
def test_every_file_of_the_core_is_in_the_table():
    table = re.search(r"^## Files of the core\n\n((?:\|.*\n)+)", DOCUMENT, re.M)[1]
    names = set(re.findall(r"`([a-z_*]+)`", table))
    files = {path.stem for path in (ROOT / "core").glob("*.[ch]")}
    files -= {name for name in files if name.endswith("_private")}  # what the files of a name share
    assert len(names) > 60
    assert {file for file in files if not any(fnmatch.fnmatch(file, name) for name in names)} == set(), "not in the table"
    assert {name for name in names if not fnmatch.filter(files, name)} == set(), "in the table only"
