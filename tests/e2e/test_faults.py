# SPDX-License-Identifier: Apache-2.0
"""Calls of the C library fail one at a time and in bursts, and no line is lost. scripts/faults is the long form."""
import os
import random
from concurrent.futures import ThreadPoolExecutor

import pytest

import faults
import harness

pytest_plugins = ["etcd_fixtures"]
pytestmark = [pytest.mark.one_build, pytest.mark.skipif(bool(harness.SANITIZER), reason="sanitizers have an allocator of their own")]

EVERY = "WEIR_FAULTS_EVERY" in os.environ
BURSTS = int(os.environ.get("WEIR_FAULTS_BURSTS", "8"))
SEED = int(os.environ.get("WEIR_SEED", "11"))
QUICK = {"malloc": 12, "read": 4, "write": 4, "open": 4}  # of others 2
FILES = "read,write,open,fsync,inotify_add_watch,epoll_wait,mmap"


def try_all(lab, settings, etcd=None):
    """One trial for each environment. What failed is told with all of them, at the end."""
    failed, statuses = [], {}

    def one(env):
        trial = faults.Trial(lab, etcd)
        try:
            return env, trial.run(**env), trial.fired
        except AssertionError as error:
            return env, error, True
    with ThreadPoolExecutor(3) as pool:
        for env, status, fired in pool.map(one, settings):
            if isinstance(status, AssertionError):
                failed.append("%s: %s" % (env, status))
            else:
                key = "status %d" % status if fired else "not reached"
                statuses[key] = statuses.get(key, 0) + 1
    print("seed %d: %d trials: %s" % (SEED, len(settings), ", ".join("%s: %d" % pair for pair in sorted(statuses.items()))))
    assert not failed, "%d of %d failed (seed %d)\n%s" % (len(failed), len(settings), SEED, "\n".join(failed[:5]))
    return statuses


def single(lab, dice, etcd=None):
    """The nth call of each kind: each of them, or some."""
    found = []
    for call, number in faults.counts(lab, etcd).items():
        nths = list(range(1, number + 1))
        if not EVERY:
            nths = sorted(dice.sample(nths, min(number, QUICK.get(call, 2))))
        found += [{"WEIR_FAULT": "%s:%d:%s" % (call, nth, faults.ERRORS[call][nth % len(faults.ERRORS[call])])} for nth in nths]
    return found


def test_single_failures_lose_nothing(lab):
    statuses = try_all(lab, single(lab, random.Random(SEED)))
    assert statuses["status 0"] > 10, "most failures are got over"


def test_failures_that_last_lose_nothing(lab):
    """Some in a row, then it works again."""
    dice, number = random.Random(SEED), faults.counts(lab)
    settings = []
    for _ in range(BURSTS):
        call = dice.choice(["malloc", "read", "write", "open", "fsync", "inotify_add_watch", "epoll_wait"])
        settings.append({"WEIR_FAULT": "%s:%d:%s:%d" % (
            call, dice.randint(1, number[call]), dice.choice(faults.ERRORS[call]),
            dice.choice([3, 10, 30] if call == "malloc" else [3, 8]))})  # some are tried again each second
    try_all(lab, settings)


def test_bursts_lose_nothing(lab):
    """At random, of several kinds at once."""
    settings = [{"WEIR_FAULT_BURSTS": "%d:%d:%s" % (SEED + n, 500, FILES)} for n in range(BURSTS // 2)]
    settings += [{"WEIR_FAULT_BURSTS": "%d:%d:malloc" % (SEED + n, 3000)} for n in range(BURSTS // 2)]
    try_all(lab, settings)


def test_failures_with_etcd_lose_nothing(lab, etcd):
    dice = random.Random(SEED)
    settings = single(lab, dice, etcd)
    if not EVERY:
        settings = dice.sample(settings, 8) + [one for one in settings if "connect" in one["WEIR_FAULT"]]
    settings += [{"WEIR_FAULT_BURSTS": "%d:%d:connect,%s" % (SEED + n, 500, FILES)} for n in range(BURSTS // 4)]
    try_all(lab, settings, etcd)


def test_no_memory_for_an_event_at_the_start(lab):
    """The first watch of the control loop: it says so, and ends (it once ended by a null pointer)."""
    for nth in range(1, 4):
        trial = faults.Trial(lab)
        trial.run(WEIR_FAULT="epoll_ctl:%d:ENOSPC" % nth)
        assert trial.fired


@pytest.mark.parametrize("count", [4, 12, 60])
def test_no_memory_at_a_rotation(lab, count):
    """Nor for the timer that would try again: the input once stood still for ever."""
    trial = faults.Trial(lab)
    assert trial.run(WEIR_FAULT="malloc:1:ENOMEM:%d" % count, WEIR_FAULT_FROM_SIGNAL="1") == 0
    assert trial.fired


def test_no_memory_for_a_connection_to_etcd(lab, etcd):
    """It is made again. (libcurl once refused everything from then on.)"""
    statuses = try_all(lab, [{"WEIR_FAULT": "epoll_ctl:%d:ENOSPC" % nth} for nth in range(5, 9)], etcd)
    assert statuses["status 0"] > 1 and "status 3" not in statuses
