# SPDX-License-Identifier: Apache-2.0
"""Ports on loopback for what a test starts."""
import os
import random
import socket
import time

HOST = "127.0.0.1"
_held = []  # an abstract socket for each port that this process has given away: the kernel frees its name with the process


def _hold(port):
    """Whether no other test has the port, nor gets it as long as this process lives, though nobody may listen there now."""
    name = socket.socket(socket.AF_UNIX)
    try:
        name.bind("\0weir-test-port-%d" % port)
    except OSError:
        name.close()
        return False
    _held.append(name)
    return True


def _is_free(port):
    with socket.socket() as probe:
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
        return True


def free_ports(count):
    """Ports in a row that nobody listens at, below those that the system hands out by itself: an outgoing connection would
    take one of these between now and whenever somebody listens at it."""
    dice = random.Random(os.getpid() ^ time.time_ns())
    for _ in range(1000):
        first = dice.randrange(12000, 32000)
        ports = list(range(first, first + count))
        before = len(_held)
        if all(_hold(port) and _is_free(port) for port in ports):
            return ports
        while len(_held) > before:
            _held.pop().close()
    raise AssertionError("no free ports")


def free_port():
    return free_ports(1)[0]
