# SPDX-License-Identifier: Apache-2.0
"""An input with `storage: disk`, killed at the named points of its spool, and cut off from power: every line that its client was
told of is delivered. scripts/kill-points is the long form."""
import os
import random
import time

import pytest

import harness
from harness import numbers, until, whole_lines
from test_spool import Client, folder, segments, slow, spooled

TIMES = int(os.environ.get("WEIR_KILL_TIMES", "1"))
POINTS = ("spool-segment", "spool-append", "spool-sync", "spool-synced", "spool-acks", "spool-remove")
WIDTH = 200  # so that a segment is soon full


class Caller(Client):
    """One whose weir may be dead before it listens."""

    def __init__(self, lab, weir, first):
        self.weir = weir
        super().__init__(lab, first, WIDTH)

    def _connect(self, path):
        return super()._connect(path) or not self.weir.running()


class Field:
    """What was promised to clients, and what has come, of weirs that die."""

    def __init__(self, lab, seed):
        self.lab, self.dice = lab, random.Random(seed)
        self.next = self.runs = self.repeated = 0
        self.promised, self.found = set(), set()

    def start(self, point=None):
        self.runs += 1
        return self.lab.start(spooled(self.lab, storage_limit="1M"), name="run%d" % self.runs,
                              env={"WEIR_KILL_POINT": point} if point else {})

    def end(self, weir):
        """Counts what it wrote. Its files go, so that hundreds of runs need no room."""
        for word in harness.SANITIZER_WORDS:
            assert word not in weir.log_text(), weir.log_text()
        came = numbers(whole_lines(weir.output()), WIDTH)
        self.repeated += len(came) - len(set(came) - self.found)
        self.found.update(came)
        weir.out.unlink()
        weir.log.unlink()
        self.lab.started.remove(weir)

    def feed(self, weir, patience):
        """Lines until it is dead; after so many seconds, and once some are acknowledged, it is asked to stop. Whether it was killed."""
        client = Caller(self.lab, weir, self.next)
        begin = time.monotonic()
        asked = False
        while weir.running():
            client.put(self.dice.randrange(1, 300)) if len(client.unsent) < 1 << 20 else client.work()
            late = time.monotonic() > begin + patience * (3 if harness.SANITIZER else 1)
            if not asked and late and client.acknowledged > client.first:
                weir.signal(15)
                asked = True
            assert time.monotonic() < begin + harness.DEADLINE, weir.log_text()[-3000:]
            time.sleep(0.001)
        client.work()
        client.close()
        self.promised.update(range(client.first, client.acknowledged))
        self.next = client.next  # of those that were not acknowledged some may come, and some not
        return weir.wait(None) != 0

    def kill_at(self, point):
        for passes, patience in ((self.dice.randint(1, 4), 0.5), (1, 0.5), (1, 2)):
            weir = self.start("%s:%d" % (point, passes))
            killed = self.feed(weir, patience)
            text = weir.log_text()
            self.end(weir)
            if killed:
                return
        raise AssertionError("%s was not passed once:\n%s" % (point, text[-3000:]))

    def settle(self, why):
        """A weir that lives delivers all that is still owed."""
        weir = self.start()
        owed = self.promised - self.found
        until(weir.log_text, "it takes signals")
        until(lambda: owed <= set(numbers(whole_lines(weir.output()), WIDTH)),
              lambda: "%d lines are lost, the first is %d; %s\n%s" % (
                  len(owed - set(numbers(whole_lines(weir.output()), WIDTH))), min(owed), why, weir.log_text()[-3000:]))
        weir.stop()
        self.end(weir)


@pytest.mark.one_build
def test_a_kill_at_each_point_of_the_spool_loses_nothing(lab):
    seed = int(os.environ.get("WEIR_SEED", time.time_ns() & 0xFFFFFFFF))
    print("WEIR_SEED=%d" % seed)
    field = Field(lab, seed)
    asked = os.environ.get("WEIR_KILL_ONLY", "").split()
    for point in [name for name in asked if name in POINTS] if asked else POINTS:
        begin = time.monotonic()
        for _ in range(TIMES):
            field.kill_at(point)
        if TIMES > 1:
            field.settle("%s, seed %d" % (point, seed))
            print("%-22s %4d kills in %5.1f s; %9d lines promised so far, none lost, %d repeated" % (
                point, TIMES, time.monotonic() - begin, len(field.promised), field.repeated), flush=True)
    field.settle("seed %d" % seed)
    assert field.promised or asked


# -- Power cuts --


def synced(lab):
    """What is on disk for sure: a size for each file, the names in each folder."""
    sizes, names = {}, {}
    for kind, path, *rest in map(str.split, lab.path("synced").read_text().splitlines()):
        if kind == "file":
            sizes[path] = int(rest[0])
        else:
            names[path] = rest
    return sizes, names


def cut(lab, dice):
    """Takes away what nobody has synced, as a file system may: all of it, or some, with zeros in its place, and whole files whose
    names were not on disk yet. How many bytes that were."""
    sizes, names = synced(lab)
    gone = 0
    spool = folder(lab)
    for above in (spool, spool.parent):  # they were made by this weir
        assert above.name in names[str(above.parent)], "%s itself is not on disk" % above
    for path in segments(lab):
        have = path.stat().st_size
        size = min(sizes.get(str(path), 0), have)  # of a write under way, whose torn end a later start has cut
        if path.name not in names.get(str(spool), ()):
            gone += have
            path.unlink()
            continue
        gone += have - size
        with open(path, "r+b") as file:
            file.truncate(size if dice.random() < 0.5 else dice.randint(size, have))
            if dice.random() < 0.5:
                file.truncate(have)  # zeros
    acks = spool / "acks"
    if acks.exists() and dice.random() < 0.7:  # is never synced: lines come again without it
        acks.write_bytes(acks.read_bytes()[:dice.choice((0, 8))])
    return gone


def cut_often(lab, dice, run):
    """Some weirs that are cut off, one after the other, and one that delivers what is left. Which lines were promised, and how many
    bytes were cut off."""
    first, gone, promised, turn = 0, 0, set(), 0
    while turn < 8 or (not gone and turn < 200):  # a kill may find that all is synced
        turn += 1
        weir = lab.start(spooled(lab, [slow(lab, "1h")], storage_limit="6M"), name="run%d-%d" % (run, turn),
                         preload=harness.BUILD / "tests" / "power_cut.so", env={"POWER_CUT_LOG": str(lab.path("synced"))})
        client = Client(lab, first, WIDTH)
        enough = client.next + dice.randrange(100, 2500)  # of all turns together less than storage_limit
        until(lambda: client.put(dice.randrange(1, 300)) and client.acknowledged > enough,
              lambda: "%d are acknowledged; %s" % (enough, weir.log_text()[-3000:]))
        weir.kill()
        client.work()
        client.close()
        promised.update(range(client.first, client.acknowledged))
        first = client.next
        gone += cut(lab, dice)
    weir = lab.start(spooled(lab, storage_limit="6M"), name="last%d" % run)

    def missing():
        return promised - set(numbers(whole_lines(weir.output()), WIDTH))
    until(lambda: not missing(), lambda: "%d of %d are missing; %s" % (len(missing()), len(promised), weir.log_text()[-3000:]))
    weir.stop()
    return len(promised), gone


@pytest.mark.one_build
def test_a_power_cut_loses_nothing_that_was_promised(lab):
    """What no sync had covered is cut off after each kill. $WEIR_POWER_CUTS: how often, about."""
    seed = int(os.environ.get("WEIR_SEED", time.time_ns() & 0xFFFFFFFF))
    print("WEIR_SEED=%d" % seed)
    dice = random.Random(seed)
    for run in range((int(os.environ.get("WEIR_POWER_CUTS", "8")) + 7) // 8):
        promised, gone = cut_often(lab, dice, run)
        assert gone, "the kills met nothing that was not synced"
        print("8 power cuts: %d lines promised, none lost; %d bytes that were not synced are gone" % (promised, gone), flush=True)
