# SPDX-License-Identifier: Apache-2.0
"""weir killed at named points of its code, under load, with rotations and reloads; every line is numbered and found."""
import random
import re
import signal
import sqlite3
import time

import harness
from harness import append, lines, numbers, until, whole_lines
from reload import stdout, tail


def names(lab):
    """Of all points, as weir tells them where a name is wrong."""
    config = lab.config([tail(lab.path("none.log"))], [stdout()], name="names.yaml")
    status, _, text = harness.run(["-c", config], lab.folder, env={"WEIR_KILL_POINT": "no-such-point"})
    assert status == 1, text
    return re.search(rb"no-such-point: there is no such point; .* of these: (.*)", text)[1].decode().split()


class Book:
    """Which lines of a file came, from `first` on."""

    def __init__(self, first):
        self.first, self.written, self.came = first, 0, bytearray()
        self.repeated = 0

    def take(self, number):
        at = number - self.first
        self.repeated += self.came[at]
        self.came[at] = 1

    def open(self):
        at = self.came.find(0)
        while at >= 0:
            yield at
            at = self.came.find(0, at + 1)

    def missing(self):
        at = self.came.find(0)
        return None if at < 0 else self.first + at


class Field:
    """Two files: one is rotated, the other comes into and goes out of the configuration. Outlives the weirs that follow them."""
    STEP = 20  # lines
    SECOND = 500000000

    def __init__(self, lab, seed):
        self.lab, self.dice = lab, random.Random(seed)
        self.steady, self.other = Book(0), Book(self.SECOND)
        self.folder = lab.path("logs")
        self.folder.mkdir()
        self.path, self.other_path = self.folder / "app.log", self.folder / "other.log"
        self.former = set()  # keys of the store when the file was made
        self.rotated = []  # (path, lines that had been written when it was rotated)
        self.runs = 0
        self.write()
        self.configure(True)

    def configure(self, other):
        """Another configuration than before: the sink is swapped, too."""
        inputs = [tail(self.path, alias="steady", rotate_wait="100ms")] + ([tail(self.other_path, alias="other")] if other else [])
        self.config = self.lab.config(inputs, [stdout(json_date_key="k%d" % self.dice.randrange(1000))],
                                      {"checkpoint_interval": "20ms"})

    def write_to(self, book, path):
        book.came.extend(bytes(self.STEP))
        append(path, lines(book.first + book.written, book.first + book.written + self.STEP))
        book.written += self.STEP

    def write(self):
        self.write_to(self.steady, self.path)
        self.write_to(self.other, self.other_path)

    # -- Rotation --

    def keys(self):
        """Of the positions that are kept; None: can't be read now."""
        try:
            store = sqlite3.connect("file:%s?mode=ro" % (self.lab.path("data") / "checkpoint.db"), uri=True, timeout=0.1)
        except sqlite3.Error:
            return None
        try:
            return {key for key, in store.execute("SELECT \"key\" FROM stream")}
        except sqlite3.Error:
            return None
        finally:
            store.close()

    def rotate(self):
        """Not before a position of the file is kept: nothing would lead weir to one that was renamed while it is down, and
        that it never knew. Its inode may be that of one which was removed, so only a new key counts."""
        keys = self.keys()
        inode = "%x" % self.path.stat().st_ino
        if keys is None or not any(key.split(":")[1] == inode for key in keys - self.former):
            return
        self.former = keys
        aside = self.folder / ("app.log.%d" % self.steady.written)
        self.path.rename(aside)
        self.write_to(self.steady, aside)  # whoever wrote it has not noticed yet
        self.rotated.append((aside, self.steady.written))
        self.path.write_bytes(b"")
        self.forget()

    def forget(self):
        """Old files of which all has come are removed."""
        gap = self.steady.missing()
        while len(self.rotated) > 4 and (gap is None or self.rotated[0][1] <= gap):
            self.rotated.pop(0)[0].unlink()

    # -- Runs --

    def start(self, point=None):
        self.runs += 1
        return self.lab.start(["-c", self.config], name="run%d" % self.runs, env={"WEIR_KILL_POINT": point} if point else {})

    def count(self, weir):
        for number in numbers(whole_lines(weir.output())):
            (self.other if number >= self.SECOND else self.steady).take(number)

    def end(self, weir):
        """Its files go, so that thousands of runs need no room."""
        for word in harness.SANITIZER_WORDS:
            assert word not in weir.log_text(), weir.log_text()
        weir.out.unlink()
        weir.log.unlink()
        self.lab.started.remove(weir)

    def has_had(self, weir, turns):
        """A rotation and a reload, if so many are wanted: on a busy machine some seconds may be too few for one."""
        text = weir.log_text()
        return bool(text) and text.count(" is in force") >= turns and text.count(" is followed from") >= 2 * turns

    def disturb(self, weir, patience, turns):
        """Lines, rotations and reloads until it is dead; after so many seconds it is asked to stop. Whether it was killed."""
        begin = time.monotonic()
        due, reloads = begin + 0.03, 0
        asked = False
        while weir.running():
            self.write()
            now = time.monotonic()
            if now > due and weir.log_text():  # it takes signals by now
                self.rotate()
                reloads += 1
                self.configure(reloads % 2 == 0)
                if not asked:
                    weir.signal(signal.SIGHUP)
                due = now + 0.06
            if not asked and now > begin + patience * (3 if harness.SANITIZER else 1) and self.has_had(weir, turns):
                weir.signal(signal.SIGTERM)
                asked = True
            assert now < begin + harness.DEADLINE, weir.log_text()[-3000:]
            time.sleep(0.005)
        status = weir.wait(None)
        assert status in (0, -signal.SIGKILL), "status %d\n%s" % (status, weir.log_text()[-3000:])
        return status != 0

    def kill_at(self, point):
        """One death at that point, at a random pass; at the first where it is not passed so often."""
        for passes, patience, turns in ((self.dice.randint(1, 4), self.dice.uniform(0.1, 0.5), 0),
                                        (1, self.dice.uniform(0.1, 0.5), 0), (1, 0.5, 0), (1, 1, 3)):
            weir = self.start("%s:%d" % (point, passes))
            killed = self.disturb(weir, patience, turns)
            self.count(weir)
            text = weir.log_text()
            self.end(weir)
            if killed:
                return
        raise AssertionError("%s was not passed once:\n%s" % (point, text[-3000:]))

    def would_be_whole(self, weir):
        """Whether all has come, with what this weir has written so far."""
        came = set(numbers(whole_lines(weir.output())))
        return all(book.first + at in came for book in (self.steady, self.other) for at in book.open())

    def settle(self, why):
        """A weir that lives gets all that is still to come."""
        self.configure(True)
        self.write()
        weir = self.start()
        end = time.monotonic() + 2 * harness.DEADLINE
        while not self.would_be_whole(weir) and time.monotonic() < end and weir.running():
            time.sleep(0.02)
        weir.stop()
        self.count(weir)
        self.end(weir)
        for book in (self.steady, self.other):
            assert book.missing() is None, "lost %d lines, the first is %d; %s" % (book.came.count(0), book.missing(), why)
        self.forget()
