# SPDX-License-Identifier: Apache-2.0
"""Inputs that a source asked for and that can't start: they are made anew, and all others go on."""
import pytest

from harness import until
from reload import Reloaded, stdout


@pytest.fixture
def sourced(lab):
    """make(inputs): a weir whose source asks for these; want(inputs) asks for others."""
    wanted = lab.path("wanted")

    def want(inputs):
        lab.path("new").write_text("".join("\t".join([name, "counter", *settings]) + "\n" for name, *settings in inputs))
        lab.path("new").rename(wanted)

    def make(inputs):
        want([])
        made = Reloaded(lab, [{"name": "set", "alias": "source", "path": wanted, "interval": "10ms", "tag": "t"}], [stdout()],
                        plugins=["in_set", "in_counter"])
        made.want = want
        want(inputs)
        return made
    return make


def counted(r):
    return sorted(int(text) for text in r.weir.output().split())


def state_of(r, name):
    for one in r.status()["inputs"]:
        if one["alias"] == "source/" + name:
            return one["state"], one["error"]
    return None


def test_an_input_that_could_not_start_is_made_anew(sourced, lab):
    """After a second; one that never can, after two, until nobody wants it."""
    needed, missing = lab.path("needed"), lab.path("missing")
    good, late, never = (["good", "count=10", "tag=t"], ["late", "count=20", "tag=t", "needs=%s" % needed],
                         ["never", "count=30", "tag=t", "needs=%s" % missing])
    r = sourced([good, late, never])
    r.weir.wait_log("[source/late] can't start: %s is not there" % needed)
    r.weir.wait_log("[source/never] it is left out, and all others go on: it is tried again in 1 s")
    until(lambda: state_of(r, "late") == ("failed", "%s is not there" % needed), "the status shows why")
    needed.touch()
    r.weir.wait_log("[source/never] it is left out, and all others go on: it is tried again in 2 s")
    until(lambda: counted(r) == sorted([*range(10), *range(20)]), "what came late has come")
    assert state_of(r, "never") == ("failed", "%s is not there" % missing)
    r.want([good, late])
    until(lambda: state_of(r, "never") is None, "nothing is left of the one that nobody wants")
    r.weir.stop()
    text = r.weir.log_text()
    assert text.count("[source/late] can't start") == 1 and text.count("[source/never] can't start") == 2, text


def test_a_changed_entry_takes_the_place_of_one_that_could_not_start(sourced, lab):
    r = sourced([["one", "count=10", "tag=t", "needs=%s" % lab.path("missing")]])
    r.weir.wait_log("it is tried again in 1 s")
    r.want([["one", "count=10", "tag=t"]])
    until(lambda: counted(r) == list(range(10)), "its records come at once")
    until(lambda: len(r.status()["inputs"]) == 2, "one input and its source")
    r.weir.stop()
    assert r.weir.log_text().count("can't start") == 1


def test_a_stop_does_not_wait_for_one_that_could_not_start(sourced, lab):
    r = sourced([["one", "count=10", "tag=t", "needs=%s" % lab.path("missing")]])
    r.weir.wait_log("it is tried again in 1 s")
    r.weir.stop()
