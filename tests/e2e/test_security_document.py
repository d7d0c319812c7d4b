# SPDX-License-Identifier: Apache-2.0
"""What docs/security.md claims is held by tests: they exist."""
import re

import pytest

from harness import ROOT

NAMES = re.findall(r"`(test_\w+\.(?:py|c))::(\w+)`", (ROOT / "docs" / "security.md").read_text(encoding="utf-8"))


@pytest.mark.one_build
def test_every_test_that_is_named_is_there():
    assert len(NAMES) > 40
    for file, test in NAMES:
        folder, begin = ("e2e", "def %s(") if file.endswith(".py") else ("unit", "START_TEST(%s)")
        text = (ROOT / "tests" / folder / file).read_text(encoding="utf-8")
        assert begin % test in text, "%s has no %s" % (file, test)
