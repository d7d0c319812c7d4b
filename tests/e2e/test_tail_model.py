# SPDX-License-Identifier: Apache-2.0
"""in_tail against a model: random operations on real files while the real weir runs.

A run is a list of operations made from a seed alone, each of which does nothing where it does not apply, so any part
of the list is a run as well: a failing one is shrunk by leaving operations out. The model knows what was written to
which file; a line must come exactly once, except where no tailer could do that:

- a line unread when its file was truncated, or when a file was removed that weir had not opened, may be missing;
- what came in a run that ended by a kill (or by a stop with the sink closed) may come again in a later one;
- what a file keeps when it is cut shorter may come again: it can't be told from new content.

A file that is compressed goes on as its .gz, in those runs whose patterns match that.

WEIR_SEED=n runs that seed alone; WEIR_MODEL_OPS is the number of operations altogether. What is told of a failure is
short, the most telling first; the whole of it is in the build folder (model-failures).
"""
import ctypes
import fcntl
import gzip
import json
import os
import random
import re
import signal
import sqlite3
import struct
import subprocess
import tempfile
import time
import zlib
from contextlib import closing
from pathlib import Path

import pytest

import harness
from reload import Asker

OPS = int(os.environ.get("WEIR_MODEL_OPS", 0)) or harness.scaled(10500, 600)
SEED = os.environ.get("WEIR_SEED")
PER_SEED = 300
SLOTS = "abcd"
META_HEAD = 48  # bytes of what in_tail keeps of a file before its path
SHORT_WAIT = 0.06  # seconds of rotate_wait, where it is short


LATE = 20      # seconds more that are waited for a line that did not come in time, to see whether it comes at all
TOLD = 6000    # characters that are told of a failure


class Wrong(Exception):
    """Something that weir must not do; `file`: to that one."""

    def __init__(self, what, file=None):
        super().__init__(what)
        self.file = file


def stamp(when):
    return time.strftime("%H:%M:%S", time.gmtime(when)) + ".%03d" % (when % 1 * 1000)


class Story:
    """What is told of a failing run beside weir's log: each operation with its time, and what the store held after
    each end of weir."""

    def __init__(self, data):
        self.data, self.entries = data, []
        self.stored = set()  # (inode, born) of the files in the store at the last end

    def tell(self, text):
        self.entries.append((time.time(), text, None))

    def lines(self, names):
        """The operations, and what was seen of weir, without the stores; those with one of the names are marked."""
        return ["%s %s %s" % (">" if any(name in what for name in names) else " ", stamp(when), what)
                for when, what, _ in self.entries]

    def keep_store(self, text):
        files = {name: (self.data / name).read_bytes() for name in ("checkpoint.db", "checkpoint.db-wal")
                 if (self.data / name).exists()}
        self.entries.append((time.time(), text, files))
        _, found = streams_of(files)
        self.stored = {struct.unpack_from("<Q8xQ", meta, 10) for _, _, meta in found if len(meta or b"") >= META_HEAD}

    def __str__(self):
        text = []
        for when, what, files in self.entries:
            text.append("%s %s" % (stamp(when), what))
            text += ["    " + row for row in rows_of(files or {})]
        return "\n".join(text)


def streams_of(files):
    """What went wrong, and the streams of a copy of a store."""
    with tempfile.TemporaryDirectory() as folder:
        for name, content in files.items():
            (Path(folder) / name).write_bytes(content)
        try:
            with closing(sqlite3.connect(Path(folder) / "checkpoint.db")) as store:
                return [], list(store.execute("SELECT key, offset, meta FROM stream ORDER BY key")) if files else []
        except sqlite3.Error as error:
            return ["the store can't be read: %s" % error], []


def rows_of(files):
    """The streams of a store, as in_tail keeps them (plugins/in_tail/identity.c)."""
    rows, found = streams_of(files)
    for key, offset, meta in found:
        row = "%s offset %d" % (key, offset)
        if len(meta or b"") >= META_HEAD:
            first, size = struct.unpack_from("<IH", meta, META_HEAD - 6)
            row += ", first bytes %d, %s%s" % (first, meta[META_HEAD:META_HEAD + size].decode(errors="replace"),
                                               ", away" if meta[1] else "")
            row += ", flags %d" % meta[META_HEAD + size] if meta[0] > 1 else ""
        rows.append(row)
    return rows


def text_of(number, width, alike):
    body = b"%d %08x" % (number, zlib.crc32(b"%d" % number))
    fill = b"x" * width if alike else (b"%d." % number * width)[:width]
    return body + b" " + fill + b".\n"


class Line:
    __slots__ = ("number", "bytes", "file", "may", "free", "came", "runs", "partial")

    def __init__(self, number, data, file, may):
        self.number, self.bytes, self.file, self.may = number, data, file, may
        self.free = False     # may come again
        self.came = 0         # how often
        self.runs = []        # in which runs
        self.partial = None   # so much of it may come alone


def born(fd):
    """When its inode was made, ns; os.stat does not tell."""
    room = ctypes.create_string_buffer(256)
    if ctypes.CDLL(None).statx(fd, b"", 0x1000, 0x800, room):  # AT_EMPTY_PATH, STATX_BTIME
        return 0
    seconds, ns = struct.unpack_from("<qI", room, 80)
    return seconds * 1000000000 + ns


class File:
    """One inode."""

    def __init__(self, fd):
        self.is_now(fd)
        self.names = set()      # all paths that lead to it
        self.lines = []         # what it holds, and what was not delivered of what it held
        self.last = None        # the last line
        self.rest = b""         # what is missing of it
        self.followed = True    # what is written to it now must come
        self.held = -1          # the run that has it open
        self.known = False      # there was a clean stop while it was open
        self.renamed = False    # was rotated: with a short rotate_wait no more is written to it
        self.linked = False     # had two names
        self.moved = False      # to another directory since the last clean stop
        self.adrift = False     # the name that it was followed by is removed, and another is where nobody looks
        self.packed = False     # was compressed: nobody writes to it
        self.cut = False        # truncated, and not settled since: compressed now, it could come twice

    def is_now(self, fd):
        stat = os.fstat(fd)
        self.key, self.born = (stat.st_dev, stat.st_ino), born(fd)


class World:
    def __init__(self, folder, dice):
        self.folder = folder
        self.logs, self.away, self.targets = (folder / name for name in ("logs", "away", "targets"))
        for path in (self.logs, self.away, self.targets):
            path.mkdir()
        self.long_wait = dice.random() < 0.5
        self.notify = dice.random() < 0.85
        # files are closed when idle: what is then written and removed between two looks can't be read
        self.parks = dice.random() < 0.3
        parks = {"close_inactive": "20ms", "max_open_files": 6} if self.parks else {}
        self.packs = dice.random() < 0.5  # compressed files are in the patterns
        # hundreds of bytes before a position may be what they were in what was there before: the first ones tell then
        self.alike = dice.random() < 0.5
        self.files, self.paths = [], {}
        self.all_lines, self.counter = [], 0
        self.run, self.process, self.reader = 0, None, None
        self.buffer, self.paused, self.stopped_open = b"", False, False
        self.dirty = []  # whether that run may be repeated
        self.last_of = {}
        self.admin = folder / "admin"
        admin = {"http_server": True, "http_listen": "unix:%s" % self.admin} if len(str(self.admin)) < 100 else {}
        config = {
            "service": {"data_dir": str(folder / "data"), "checkpoint_interval": "30ms", "grace": "5m",
                        "memory_limit": "1M", "log_level": "info", **admin},
            "pipeline": {
                "inputs": [{"name": "tail", "path": [str(self.logs / "*.log"), str(self.logs / "*" / "*.log"),
                                                     *([str(self.logs / "*.gz")] if self.packs else [])],
                            "tag": "t", "read_from_head": True, "rotate_wait": "10m" if self.long_wait else "60ms",
                            "buffer_chunk_size": "4k", "refresh_interval": "1s", "poll_interval": "20ms",
                            "inotify_watcher": self.notify, **parks}],
                "outputs": [{"name": "stdout", "match": "*", "format": "raw", "queue_size": "64k"}]}}
        self.config = config
        (folder / "weir.json").write_text(json.dumps(config))
        self.story = Story(folder / "data")

    # -- weir ---------------------------------------------------------------------------------------------

    def start(self):
        if self.process:
            return
        self.run += 1
        self.dirty.append(False)
        self.last_of = {}
        self.reader, write_end = os.pipe()
        fcntl.fcntl(write_end, fcntl.F_SETPIPE_SZ, 4096)
        os.set_blocking(self.reader, False)
        with open(self.folder / "weir.err", "ab") as log:
            self.process = subprocess.Popen([str(harness.WEIR), "-c", str(self.folder / "weir.json")], cwd=self.folder,
                                            stdin=subprocess.DEVNULL, stdout=write_end, stderr=log)
        os.close(write_end)
        self.buffer = b""

    def end(self, how):
        if not self.process:
            return
        kill = how == signal.SIGKILL
        unclean = kill or self.paused
        self.pump()
        told = len(self.log())
        hurry = self.paused and not kill
        self.process.send_signal(how)
        end = time.monotonic() + harness.DEADLINE
        while self.process.poll() is None:
            if not self.paused:
                self.pump()
            elif hurry and b": stopping" in self.log()[told:]:
                self.process.send_signal(how)  # without waiting for the sink; a third one would not wait at all
                hurry = False
            if time.monotonic() > end:
                raise Wrong("weir does not stop")
            time.sleep(0.0005 if not self.paused else 0.02)
        if self.process.returncode == -signal.SIGTERM:
            unclean = True  # it came before weir had begun, or after it had ended
        elif not kill and self.process.returncode != 0:
            raise Wrong("weir ended with %d" % self.process.returncode)
        self.paused = False
        while self.pump():
            pass
        if self.buffer and not unclean:
            raise Wrong("the last line is cut: %r" % self.buffer[-80:])
        os.close(self.reader)
        self.process = self.reader = None
        self.dirty[-1] = unclean
        self.story.keep_store("run %d has ended by signal %d%s" % (self.run, how, "" if unclean else ", cleanly"))
        for file in self.files:
            if not file.names:
                left = next((line for line in file.lines if not line.came and not line.may), None)
                if left and not unclean and not self.abandoned():
                    raise Wrong("line %d of a deleted file was not read before the stop" % left.number, file)
                self.give_up(file)
            elif file.adrift and not self.visible(file):
                self.give_up(file)
            elif unclean and file.followed and not self.visible(file):
                if not self.surely_known(file) or file.moved:
                    self.give_up(file)
            elif not unclean and file.held == self.run:
                file.known = True
                file.moved = False

    def abandoned(self):
        """The queue was full at the stop, so that the rest of a deleted file could not be sent: that is said."""
        return b"could not be sent before the stop" in self.log()

    def log(self):
        return (self.folder / "weir.err").read_bytes()

    def pump(self):
        """Takes what the sink was given; whether there was any."""
        if self.paused or not self.reader:
            return False
        try:
            data = os.read(self.reader, 1 << 16)
        except BlockingIOError:
            return False
        if not data:
            return False
        self.buffer += data
        whole, newline, self.buffer = self.buffer.rpartition(b"\n")
        if newline:
            for text in whole.split(b"\n"):
                self.arrived(text)
        return True

    def arrived(self, text):
        number = text.split(b" ", 1)[0]
        if not number.isdigit() or int(number) >= len(self.all_lines):
            raise Wrong("no line of ours: %r" % text[:200])
        line = self.all_lines[int(number)]
        if text + b"\n" != line.bytes and not (line.partial is not None and text == line.partial):
            raise Wrong("damaged: %r, written: %r" % (text[:200], line.bytes[:200]), line.file)
        if text + b"\n" != line.bytes and line.file.names and not line.file.renamed:
            raise Wrong("line %d came unfinished, of %s, which was never rotated" % (line.number, line.file.names), line.file)
        if self.run in line.runs and not line.free:
            raise Wrong("line %d came twice in run %d (%s)" % (line.number, self.run, line.file.names), line.file)
        for run in line.runs:
            if not line.free and not any(self.dirty[run - 1:self.run - 1]):
                raise Wrong("line %d of run %d came again in run %d" % (line.number, run, self.run), line.file)
        last = self.last_of.get(line.file, -1)
        if line.number < last and not line.free:
            raise Wrong("line %d came after line %d of the same file" % (line.number, last), line.file)
        self.last_of[line.file] = line.number
        line.came += 1
        line.runs.append(self.run)
        self.opened(line.file)

    def opened(self, file):
        file.held = self.run

    def held(self, file):
        if file.held == self.run and self.process:
            return True
        if not self.process:
            return False
        folder = "/proc/%d/fd" % self.process.pid
        for name in os.listdir(folder):
            try:
                stat = os.stat(os.path.join(folder, name))
            except OSError:
                continue
            if (stat.st_dev, stat.st_ino) == file.key:
                self.opened(file)
                return True
        return False

    def visible(self, file):
        return any(self.matches(path) for path in file.names)

    def matches(self, path):
        return self.logs in path.parents and (path.suffix == ".log" or (self.packs and path.suffix == ".gz"))

    def lose(self, file):
        for line in file.lines:
            line.may |= not line.came
        file.lines = [line for line in file.lines if not line.came and not line.may]

    def give_up(self, file):
        """weir can't find it any more."""
        self.lose(file)
        file.followed = False

    def missing(self):
        for file in self.files:
            for line in file.lines:
                if not line.came and not line.may and (line.bytes.endswith(b"\n") or self.comes_alone(line)):
                    yield line

    def comes_alone(self, line):
        """It was rotated away unfinished. (Within the patterns it may wait: it could be renamed while weir was down.)"""
        file = line.file
        return line.partial is not None and not self.long_wait and file.renamed and not self.visible(file)

    def settle(self):
        """Everything that must come comes."""
        if not self.process or self.paused:
            return
        end = time.monotonic() + harness.DEADLINE
        while True:
            while self.pump():
                pass
            for file in self.files:
                file.lines = [line for line in file.lines if not line.came or not line.bytes.endswith(b"\n")]
            line = next(self.missing(), None)
            if line is None:
                for file in self.files:
                    file.cut &= not self.seen_whole(file)
                return
            if self.process.poll() is not None:
                raise Wrong("weir has ended with %d" % self.process.returncode)
            if time.monotonic() > end:
                self.never_came(line)
            time.sleep(0.0005)

    def never_came(self, line):
        """Waits on, so that it is known whether it is late or lost."""
        file = line.file
        what = "line %d (%d bytes%s) never came, of %s%s, in run %d, open in run %d" % (
            line.number, len(line.bytes), ", unfinished" if file.rest else "",
            sorted(map(str, file.names)), " (renamed)" if file.renamed else "", self.run, file.held)
        missing = [str(line.number) for line in self.missing()]
        self.story.tell("missing: %s" % ", ".join(missing))
        self.story.tell("status: %s" % self.status())
        begin = time.monotonic()
        while not line.came and time.monotonic() < begin + LATE and self.process.poll() is None:
            if not self.pump():
                time.sleep(0.001)
        late = "it CAME %.1f s later" % (time.monotonic() - begin) if line.came else "nor in %d s more" % LATE
        raise Wrong("%s; %s (missing: %s)" % (what, late, ", ".join(missing[:8])), file)

    def status(self):
        """Of each file: what weir says of it."""
        try:
            asker = Asker(self.admin)
            asker.timeout = 5
            asker.request("GET", "/api/v1/status")
            status = json.load(asker.getresponse())
            asker.close()
        except (OSError, ValueError) as error:
            return str(error)
        found = status["inputs"][0]
        return json.dumps({name: found[name] for name in found if name not in ("name", "plugin")})

    def seen_whole(self, file):
        """Its last line came, so that it is known with what it says now."""
        return file.last is not None and file.last.came > 0

    # -- files --------------------------------------------------------------------------------------------

    def make(self, path, via=None):
        with open(path, "xb") as new:
            file = File(new.fileno())
        self.files.append(file)
        self.add_name(file, via or path)
        return file

    def add_name(self, file, path):
        file.names.add(path)
        self.paths[path] = file

    def drop_name(self, file, path):
        file.names.discard(path)
        del self.paths[path]

    def write(self, file, path, lines, dice, partial=False):
        """Appends whole lines, the last one perhaps without its end. Writes may be split anywhere."""
        data = file.rest
        if data:
            file.last.bytes += data
            file.rest = b""
        for index in range(lines):
            width = dice.choice((0, 5, 40, 150)) if dice.random() < 0.97 else dice.randrange(4000, 20000)
            text = text_of(self.counter, width, self.alike)
            line = Line(self.counter, text, file, not file.followed)
            if partial and index == lines - 1:
                cut = dice.randrange(len(b"%d %08x" % (self.counter, 0)) + 1, len(text))
                line.bytes, file.rest = text[:cut], text[cut:]
                text = line.bytes
                line.partial = text
            self.counter += 1
            file.last = line
            self.all_lines.append(line)
            file.lines.append(line)
            data += text
        with open(path, "ab", buffering=0) as out:
            if len(data) > 10 and dice.random() < 0.1:
                cut = dice.randrange(1, len(data))
                out.write(data[:cut])
                data = data[cut:]
            out.write(data)

    def leaving(self, file, dice):
        """The last name in the patterns is about to go: unless weir has the file open, it may never see it."""
        if file.rest and (len(file.names) > 1 or dice.random() < 0.3):
            self.write(file, next(iter(file.names)), 0, dice)
        if self.process and file.followed and not self.held(file) and dice.random() < 0.7:
            end = time.monotonic() + harness.DEADLINE
            while not self.held(file) and not (self.parks and (self.paused or self.all_came(file))):
                if time.monotonic() > end:
                    raise Wrong("%s was never opened; status: %s" % (file.names, self.status()), file)
                if not self.paused:
                    self.pump()
                time.sleep(0.0005)

    def all_came(self, file):
        return all(line.came or line.may or not line.bytes.endswith(b"\n") for line in file.lines)

    def rename(self, file, path, new, same_folder):
        os.rename(path, new)
        self.drop_name(file, path)
        self.add_name(file, new)
        file.renamed = True
        same_folder = same_folder and not file.linked  # it may be known by a name in the other one
        if self.visible(file):
            return
        if self.process and self.parks:
            if not same_folder or file.held != self.run:
                self.give_up(file)
        elif self.process and self.held(file):
            file.moved |= not same_folder
        elif self.process or not same_folder or not self.surely_known(file):
            self.give_up(file)

    def surely_known(self, file):
        """While weir is down: whether it can look for it under another name. (A new stream is written at once, which takes as
        long as the disk does.)"""
        stored = self.story.stored
        return file.known or (file.key[1], file.born) in stored or (file.key[1], 0) in stored

    # -- operations: each does nothing where it does not apply --------------------------------------------------

    def slot(self, name):
        return self.logs / (name + ".log")

    def op_append(self, name, count, partial, dice):
        path = self.slot(name)
        file = self.paths.get(path) or self.make(path)
        if not self.finished(file):
            self.write(file, path, count, dice, partial)

    def finished(self, file):
        """With a short rotate_wait nobody writes to a rotated file."""
        return file.renamed and not self.long_wait

    def op_append_old(self, index, count, partial, dice):
        files = [file for file in self.files if file.renamed and file.names and not file.packed]
        if files and self.long_wait:
            file = files[index % len(files)]
            self.write(file, min(file.names), count, dice, partial)

    def op_rotate(self, name, kind, count, dice):
        path = self.slot(name)
        file = self.paths.get(path)
        if not file:
            return
        self.leaving(file, dice)
        new = {"out": self.logs / ("%s.log.%d" % (name, self.counter)),
               "in": self.logs / ("%s-%d.log" % (name, self.counter)),
               "away": self.away / ("%s.%d" % (name, self.counter))}[kind]
        if new.exists():
            return
        self.rename(file, path, new, kind != "away")
        if count:
            self.op_append(name, count, False, dice)

    def op_back(self, index, dice):
        """A file that was moved away comes back under a name in the patterns."""
        paths = [path for path in sorted(self.paths) if path.parent == self.away]
        if not paths:
            return
        path = paths[index % len(paths)]
        file = self.paths[path]
        new = self.logs / ("back-%d.log" % self.counter)
        if file.rest or new.exists():
            return
        os.rename(path, new)
        self.drop_name(file, path)
        self.add_name(file, new)
        for line in self.all_lines:
            line.free |= line.file is file and not file.followed
        file.followed = True

    def op_truncate(self, name, keep, count, partial, dice):
        """As copytruncate does it, or cut to a part of it; then it grows again."""
        path = self.slot(name)
        file = self.paths.get(path)
        if not file or self.finished(file):
            return
        size = os.stat(path).st_size
        end = 0
        if keep and size and not self.alike:
            data = path.read_bytes()
            end = data.rfind(b"\n", 0, dice.randrange(size)) + 1
            for text in data[:end].splitlines():
                self.all_lines[int(text.split(b" ", 1)[0])].free = True
        else:
            (self.logs / (name + ".copy")).write_bytes(path.read_bytes())
        self.lose(file)
        file.lines, file.rest, file.cut = [], b"", True
        os.truncate(path, end)
        self.pump()
        self.write(file, path, count, dice, partial)

    def op_compress(self, name, index, slowly, dice):
        """gzip(1), of a file just as it is rotated or of an older one: the .gz is whole before the file goes. What of it
        came does not come again, what did not comes out of the one or the other."""
        olds = [path for path in sorted(self.paths) if re.fullmatch(r"[a-d]\.log\.\d+", path.name)]
        path = self.slot(name) if index is None else olds[index % len(olds)] if olds else None
        file = self.paths.get(path)
        new = path and path.with_name(path.name + (".%d.gz" % self.counter if index is None else ".gz"))
        if not self.packs or not file or len(file.names) > 1 or new.exists():
            return
        if file.cut or (file.rest and self.finished(file)):
            return  # or its last line may have come as it is
        if file.rest:
            self.write(file, path, 0, dice)
        data = path.read_bytes()
        cut = dice.randrange(len(data) + 1)
        packed = gzip.compress(data[:cut]) + gzip.compress(data[cut:]) if dice.random() < 0.3 else gzip.compress(data)
        with open(new, "xb", buffering=0) as out:
            cut = dice.randrange(len(packed)) if slowly else 0
            out.write(packed[:cut])
            if slowly:
                self.op_nap(dice.choice((1, 10)), dice)
            out.write(packed[cut:])
            file.is_now(out.fileno())
        os.unlink(path)
        self.drop_name(file, path)
        self.add_name(file, new)
        for line in self.all_lines:
            line.free |= line.file is file and not file.followed
        file.followed, file.renamed, file.packed = True, True, True
        file.held, file.known, file.moved = -1, False, False

    def op_drop_packed(self, index, _dice):
        paths = [path for path in sorted(self.paths) if path.suffix == ".gz"]
        if paths:
            path = paths[index % len(paths)]
            file = self.paths[path]
            os.unlink(path)
            self.drop_name(file, path)
            self.give_up(file)

    def op_delete(self, name, after, recreate, dice):
        path = self.slot(name)
        file = self.paths.get(path)
        if not file:
            return
        self.leaving(file, dice)
        held = self.process and not self.parks and self.held(file)
        with open(path, "ab", buffering=0) as out:
            begin = time.monotonic()
            os.unlink(path)
            self.drop_name(file, path)
            file.renamed |= not file.names
            if not file.names and not held:
                self.give_up(file)
            if held and after and not self.finished_before(file):
                self.write(file, "/proc/self/fd/%d" % out.fileno(), after, dice)
                if not self.long_wait and time.monotonic() - begin > SHORT_WAIT / 2:
                    self.lose(file)  # this process stood still for so long that weir need not have waited for it
        if recreate:
            self.op_append(name, recreate, False, dice)

    def finished_before(self, file):
        return file.rest != b"" or bool(file.names)

    def op_link(self, count, dice):
        """A symbolic link is turned to a new target, which begins with some lines."""
        link = self.logs / "link.log"
        old = self.paths.get(link)
        if old:
            self.leaving(old, dice)
        target = self.targets / ("t%d" % self.counter)
        if target.exists():
            return
        file = self.make(target)
        self.drop_name(file, target)
        if old:
            real = next(path for path in self.links if self.links[path] is old)
            self.drop_name(old, link)
            self.add_name(old, real)
            old.renamed = True
        self.links[target] = file
        self.add_name(file, link)
        self.write(file, target, count, dice)
        new = self.folder / "new"
        new.symlink_to(target)
        held = old and self.process and not self.parks and self.held(old)
        os.rename(new, link)
        if held:
            old.moved = True
        elif old:
            self.give_up(old)

    links = None

    def op_append_link(self, count, partial, dice):
        link = self.logs / "link.log"
        if link in self.paths:
            self.write(self.paths[link], link, count, dice, partial)

    def op_hard_link(self, name, remove, dice):
        path, other = self.slot(name), self.logs / "sub" / (name + ".log")
        other.parent.mkdir(exist_ok=True)
        if remove:
            file = self.paths.get(other)
            if file and len(file.names) > 1:
                if file.rest:
                    self.write(file, other, 0, dice)
                held = self.process and not self.parks and self.held(file)
                os.unlink(other)
                self.drop_name(file, other)
                file.adrift |= not self.visible(file)
                if not held and not self.visible(file):
                    self.give_up(file)  # the name that weir may know it by is gone; the other is in another directory
        elif path in self.paths and other not in self.paths:
            os.link(path, other)
            self.paths[path].linked = True
            self.add_name(self.paths[path], other)

    def op_append_hard_link(self, name, count, partial, dice):
        """It is no rotated file as long as it has a name in the patterns, whatever becomes of its others."""
        path = self.logs / "sub" / (name + ".log")
        if path in self.paths:
            self.write(self.paths[path], path, count, dice, partial)

    def op_nap(self, ms, _dice):
        end = time.monotonic() + ms / 1000
        while time.monotonic() < end:
            self.pump()
            time.sleep(0.001)

    def op_settle(self, _dice):
        self.settle()

    def op_pause(self, _dice):
        self.paused = self.process is not None

    def op_resume(self, _dice):
        self.paused = False

    def op_stop(self, _dice):
        self.end(signal.SIGTERM)

    def op_kill(self, _dice):
        self.end(signal.SIGKILL)

    def op_start(self, _dice):
        self.start()


def script(seed, count):
    """The operations of a seed: (name, arguments, a seed of its own)."""
    dice = random.Random(seed)
    kinds = (("append", 50), ("append_old", 6), ("rotate", 8), ("back", 2), ("truncate", 4), ("delete", 3), ("link", 2),
             ("append_link", 4), ("hard_link", 2), ("append_hard_link", 4), ("nap", 4), ("settle", 5), ("pause", 1.5),
             ("resume", 3), ("stop", 1), ("kill", 1.3), ("start", 8), ("compress", 4), ("drop_packed", 0.7))
    names, weights = zip(*kinds)
    made = []
    for name in dice.choices(names, weights, k=count):
        few, slot = dice.choice((1, 1, 2, 3, 10)), dice.choice(SLOTS)
        arguments = {
            "append": lambda: (slot, few, dice.random() < 0.15),
            "append_old": lambda: (dice.randrange(100), few, dice.random() < 0.1),
            "rotate": lambda: (slot, dice.choice(("out", "out", "in", "away")), dice.randrange(3)),
            "back": lambda: (dice.randrange(100),),
            "truncate": lambda: (slot, dice.random() < 0.3, dice.choice((0, 1, 5, 100)), dice.random() < 0.1),
            "delete": lambda: (slot, dice.randrange(4), dice.randrange(3)),
            "link": lambda: (few,),
            "append_link": lambda: (few, dice.random() < 0.1),
            "hard_link": lambda: (slot, dice.random() < 0.4),
            "append_hard_link": lambda: (slot, few, dice.random() < 0.2),
            "compress": lambda: (slot, dice.choice((None, dice.randrange(100))), dice.random() < 0.3),
            "drop_packed": lambda: (dice.randrange(100),),
            "nap": lambda: (dice.choice((1, 3, 10, 80)),),
        }.get(name, lambda: ())()
        made.append((name, arguments, dice.randrange(1 << 30)))
    return made


def play(folder, seed, operations):
    """None, or what went wrong."""
    folder.mkdir(parents=True)
    world = World(folder, random.Random(seed ^ 0x5bd1e995))
    world.links = {}
    done = 0
    try:
        world.start()
        for name, arguments, own in operations:
            world.story.tell("%d: %s%r" % (done, name, arguments))
            getattr(world, "op_" + name)(*arguments, random.Random(own))
            world.pump()
            done += 1
        world.paused = False
        world.start()
        world.settle()
        world.end(signal.SIGTERM)
        # once more: nothing is left, and nothing comes again
        world.start()
        world.settle()
        world.end(signal.SIGTERM)
    except Wrong as wrong:
        return Failure(folder, world, "after %d operations: %s" % (done, wrong), wrong.file)
    finally:
        if world.process:
            world.process.kill()
            world.process.wait()
    text = (folder / "weir.err").read_text(errors="replace")
    for word in harness.SANITIZER_WORDS:
        if word in text:
            return Failure(folder, world, text[text.find(word):])
    return None


class Failure:
    """What can be told of a run that failed. Made while weir still runs."""

    def __init__(self, folder, world, what, file=None):
        self.what = what
        self.folder = "%s/" % folder
        self.names = sorted({path.name for path in file.names}) if file else []
        # what an operation calls a file by its letter or its name
        letters = ["('%s'" % name[0] for name in self.names if re.match(r"[a-d][.-]", name)]
        self.story = world.story.lines(letters + self.names + ["link"] * ("link.log" in self.names))
        world.story.tell("status: %s" % world.status())
        log = folder / "weir.err"
        self.log = log.read_text(errors="replace").splitlines() if log.exists() else []
        self.stats = [stat_of(path) for path in sorted(folder.glob("*/**/*")) if path.is_file() or path.is_symlink()]
        self.all = "\n".join([what, str(world.story), *self.log, *self.stats, str(world.config)])

    def last_log(self):
        """Of the last run: the file's lines, and the last."""
        begins = [index for index, text in enumerate(self.log) if " starting" in text]
        run = self.log[begins[-1]:] if begins else self.log
        its = [text for text in run if any("/%s " % name in text for name in self.names)]
        return its[-12:] + ["..."] + run[-12:]

    def told(self, seed, script_text):
        """At most TOLD characters, and the rest into a file."""
        parts = [("WEIR_SEED=%d plays it again: %s" % (seed, self.what[:1200].replace(self.folder, "")), 1500), (script_text, 1200),
                 ("the last operations:\n" + "\n".join(self.story[-40:]), 1900), ("the last run's log:\n" +
                  "\n".join(text.split("Z ", 1)[-1].replace(self.folder, "") for text in self.last_log()), 1300)]
        folder = harness.BUILD / "model-failures"
        folder.mkdir(exist_ok=True)
        path = folder / ("seed%d.txt" % seed)
        path.write_text("\n\n".join([text for text, _ in parts] + [self.all]))
        return "\n".join(clipped(text, size) for text, size in parts)[:TOLD - 100] + "\nall of it: %s" % path


def clipped(text, size):
    """Its beginning and its end."""
    return text if len(text) <= size else text[:size // 3] + "\n[...]\n" + text[-(size - size // 3):]


def stat_of(path):
    try:
        stat = path.lstat()
    except OSError as error:
        return str(error)
    return "%s inode %x, %d bytes, %d names, modified %s, changed %s" % (
        path, stat.st_ino, stat.st_size, stat.st_nlink, stamp(stat.st_mtime), stamp(stat.st_ctime))


def shrink(folder, seed, operations, seconds=60):
    """The shortest list found that still fails (a failure that needs luck gets three tries)."""
    end = time.monotonic() + seconds
    tries = 0

    def fails(candidate):
        nonlocal tries
        for _ in range(3):
            tries += 1
            if play(folder / ("shrink%d" % tries), seed, candidate):
                return True
            if time.monotonic() > end:
                return False
        return False
    size = len(operations) // 2
    while size and time.monotonic() < end:
        at = 0
        while at < len(operations) and time.monotonic() < end:
            candidate = operations[:at] + operations[at + size:]
            if fails(candidate):
                operations = candidate
            else:
                at += size
        size //= 2
    return operations


def seeds():
    if SEED:
        return [int(SEED, 0)]
    first = int.from_bytes(os.urandom(4), "little")
    return [first + index for index in range(max(1, -(-OPS // PER_SEED)))]


def test_model(tmp_path):
    done = 0
    for seed in seeds():
        print("seed %d" % seed, flush=True)
        operations = script(seed, PER_SEED)
        folder = Path(tmp_path / ("seed%d" % seed))
        wrong = play(folder, seed, operations)
        if wrong:
            short = shrink(tmp_path / ("of%d" % seed), seed, operations, float(os.environ.get("WEIR_SHRINK", 60)))
            text = "the shortest script found that fails (%d operations):\n%s" % (
                len(short), " ".join("%s%r" % op[:2] for op in short))
            pytest.fail(wrong.told(seed, text), pytrace=False)
        done += len(operations)
        subprocess.run(["rm", "-rf", str(folder)], check=False)
    print("%d operations" % done)
