# SPDX-License-Identifier: Apache-2.0
"""Following files, case by case: each test is a row of the table in plugins/in_tail/README.md."""
import gzip
import os
import resource
import signal
import socket
import subprocess
import tempfile
from pathlib import Path

import pytest

import harness
from harness import append, line, lines, numbers, until, whole_lines


def opened(weir, *paths):
    until(lambda: all(weir.has_open(path) for path in paths), "%s is open" % (paths,))


def all_of(weir, count, width=0):
    """Waits for the lines 0 to count - 1, in any order, each once."""
    weir.wait_output(lambda data: len(whole_lines(data)) >= len(lines(0, count, width)))
    found = sorted(numbers(whole_lines(weir.output()), width))
    assert found == list(range(count))


# -- Rotation ---------------------------------------------------------------------------------------------


def test_written_after_rotate_wait_is_read_and_told(lab):
    path, old = lab.path("app.log"), lab.path("app.log.1")
    path.write_bytes(lines(0, 10))
    weir = lab.tail(path, rotate_wait="50ms", refresh_interval="100ms")
    weir.wait_line(9)
    with open(path, "ab", buffering=0) as writer:
        path.rename(old)
        path.write_bytes(lines(10, 20))
        weir.wait_line(19)
        until(lambda: not weir.has_open(old), "the old file is closed")
        writer.write(lines(20, 30))
        all_of(weir, 30)
        until(lambda: not weir.has_open(old), "it is closed again")
        writer.write(lines(30, 31))
        all_of(weir, 31)
    weir.wait_log("still written to after rotate_wait")
    weir.stop()


def test_rotated_to_another_directory(lab):
    path, archive = lab.path("app.log"), lab.path("archive")
    archive.mkdir()
    path.write_bytes(lines(0, 10))
    weir = lab.tail(path, rotate_wait="1h")
    weir.wait_line(9)
    with open(path, "ab", buffering=0) as writer:
        path.rename(archive / "app.log")
        writer.write(lines(10, 20))
        path.write_bytes(lines(20, 30))
        all_of(weir, 30)
        weir.stop()
        writer.write(lines(30, 40))
    weir = lab.tail(path, name="again")
    assert weir.wait_line(39) == lines(30, 40)
    weir.stop()


def test_rotated_and_compressed_at_once(lab):
    """What gzip reads and removes is still read to its end; the .gz is another file, and not in the pattern."""
    path = lab.path("app.log")
    path.write_bytes(lines(0, 10))
    weir = lab.tail(path)
    weir.wait_line(9)
    for turn in range(1, 6):
        append(path, lines(turn * 1000, turn * 1000 + 990))
        old = lab.path("app.log.%d" % turn)
        path.rename(old)
        lab.path("app.log.%d.gz" % turn).write_bytes(gzip.compress(old.read_bytes()))
        old.unlink()
        path.write_bytes(lines(turn * 1000 + 990, turn * 1000 + 1000))
        opened(weir, path)
    weir.wait_output(lambda data: len(whole_lines(data)) >= len(lines(0, 5010)))
    assert sorted(numbers(weir.output())) == list(range(10)) + list(range(1000, 6000))
    weir.stop()


def test_rotated_while_down_out_of_the_pattern(lab):
    path = lab.path("app.log")
    path.write_bytes(lines(0, 10))
    weir = lab.tail(path, name="one")
    weir.wait_line(9)
    weir.stop()
    append(path, lines(10, 20))
    path.rename(lab.path("old-app"))
    path.write_bytes(lines(20, 30))
    weir = lab.tail(path, name="one")
    all_of(weir, 30)
    weir.stop()


def test_truncated_and_rotated_while_down(lab):
    """Nothing of what was read is left in it, but it is that inode."""
    path = lab.path("app.log")
    path.write_bytes(lines(0, 10))
    weir = lab.tail(path, name="one")
    weir.wait_line(9)
    weir.stop()
    path.write_bytes(lines(10, 15))
    path.rename(lab.path("app.log.1"))
    path.write_bytes(lines(15, 20))
    weir = lab.tail(path, name="one")
    all_of(weir, 20)
    weir.stop()


def test_partial_line_is_not_joined_across_a_rotation(lab):
    path = lab.path("app.log")
    path.write_bytes(b"begun")
    weir = lab.tail(path, rotate_wait="50ms")
    opened(weir, path)
    path.rename(lab.path("app.log.1"))
    path.write_bytes(b"other\n")
    weir.wait_output(lambda data: sorted(data.split()) == [b"begun", b"other"])
    weir.stop()


# -- Truncation ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("live", [True, False], ids=["live", "restart"])
@pytest.mark.parametrize("size", ["less", "exactly", "more"])
def test_truncated_and_grown_again(lab, live, size):
    path = lab.path("app.log")
    path.write_bytes(lines(0, 100))
    weir = lab.tail(path, name="one")
    weir.wait_line(99)
    if live:
        weir.freeze()  # so that all of it happens between two looks
    else:
        weir.stop()
    end = 100 + {"less": 50, "exactly": 100, "more": 150}[size]
    path.write_bytes(lines(100, end))
    if live:
        weir.thaw()
    else:
        weir = lab.tail(path, name="one")
    weir.wait_line(end - 1)
    weir.stop()
    assert weir.output() == lines(0, end)


@pytest.mark.parametrize("live", [True, False], ids=["live", "restart"])
def test_hole_of_a_writer_without_append(lab, live):
    path = lab.path("app.log")
    with open(path, "wb", buffering=0) as writer:
        writer.write(lines(0, 100))
        weir = lab.tail(path, name="one")
        weir.wait_line(99)
        if not live:
            weir.stop()
        os.truncate(path, 0)
        writer.write(lines(100, 110))
        if not live:
            weir = lab.tail(path, name="one")
        weir.wait_line(109)
        writer.write(line(110))
        weir.wait_line(110)
    weir.wait_log("%d NULs" % len(lines(0, 100)))
    weir.stop()
    assert weir.output() == lines(0, 111)


def test_hole_that_appears_between_two_looks(lab):
    path = lab.path("app.log")
    with open(path, "wb", buffering=0) as writer:
        writer.write(line(0))
        weir = lab.tail(path, name="one")
        weir.wait_line(0)
        for i in range(1, 500):
            # the writer is at any point of what the truncation sets off
            os.truncate(path, 0)
            for _ in range(i * 7 % 200):
                os.stat(path)
            writer.write(line(i))
            weir.wait_line(i)
    weir.stop()
    assert weir.output() == lines(0, 500)


def test_nuls_that_were_written_pass_through(lab):
    path = lab.path("app.log")
    path.write_bytes(b"\0\0\0 first\nsecond\0\n")
    weir = lab.tail(path, exit_on_eof=True)
    weir.wait(0)
    assert weir.output() == b"\0\0\0 first\nsecond\0\n"


# -- Identity ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("live", [True, False], ids=["live", "restart"])
def test_reused_inode_is_a_new_file(lab, live):
    """The same directory gives a number that has just become free to the next file, as often as not."""
    path = lab.path("app.log")
    path.write_bytes(lines(0, 10))
    weir = lab.tail(path, name="one", rotate_wait=0)
    weir.wait_line(9)
    for turn in range(1, 6):
        if not live:
            weir.stop()
        path.unlink()
        path.write_bytes(lines(turn * 10, turn * 10 + 10))
        if not live:
            weir = lab.tail(path, name="one", rotate_wait=0)
        weir.wait_line(turn * 10 + 9)
    weir.stop()
    assert weir.output() == lines(0, 60)


def test_same_first_kibibyte_is_two_files(lab):
    head = lines(0, 100)
    lab.path("a.log").write_bytes(head + b"a\n")
    lab.path("b.log").write_bytes(head + b"b\n")
    for _ in range(2):
        weir = lab.tail(lab.path("*.log"), name="one")
        weir.wait_output(lambda data: len(data) >= 2 * len(head) + 4)
        opened(weir, lab.path("a.log"), lab.path("b.log"))
        weir.stop()
    assert len(weir.output()) == 2 * len(head) + 4


def test_short_files_grow(lab):
    """Empty and one-line files, equal at first, across a restart."""
    names = [lab.path("%d.log" % index) for index in range(4)]
    for name in names:
        name.write_bytes(b"" if name in names[:2] else line(0))
    weir = lab.tail(lab.path("*.log"), name="one")
    opened(weir, *names)
    weir.wait_output(lambda data: data == 2 * line(0))
    weir.stop()
    for index, name in enumerate(names):
        append(name, line(index + 1))
    weir = lab.tail(lab.path("*.log"), name="one")
    weir.wait_output(lambda data: len(data) >= 6 * len(line(0)))
    weir.stop()
    assert sorted(numbers(weir.output())) == [0, 0, 1, 2, 3, 4]


def test_hard_links_and_a_symlink_are_read_once(lab):
    path = lab.path("a.log")
    path.write_bytes(lines(0, 10))
    os.link(path, lab.path("b.log"))
    lab.path("c.log").symlink_to("a.log")
    weir = lab.tail(lab.path("?.log"))
    weir.wait_line(9)
    path.unlink()
    append(lab.path("b.log"), line(10))
    weir.wait_line(10)
    weir.stop()
    assert weir.output() == lines(0, 11)


def test_symlinked_directory_is_turned(lab):
    for index in range(2):
        lab.path("v%d" % index).mkdir()
        lab.path("v%d/a.log" % index).write_bytes(lines(index * 10, index * 10 + 10))
    lab.path("current").symlink_to("v0")
    weir = lab.tail(lab.path("current/*.log"))
    weir.wait_line(9)
    lab.path("next").symlink_to("v1")
    lab.path("next").rename(lab.path("current"))
    weir.wait_line(19)
    weir.stop()
    assert weir.output() == lines(0, 20)


def test_two_inputs_on_one_file(lab):
    path = lab.path("a.log")
    path.write_bytes(lines(0, 10))
    tails = [{"name": "tail", "alias": name, "path": str(path), "tag": name, "read_from_head": True} for name in "ab"]
    weir = lab.start(["-c", lab.config(tails, [{"name": "stdout", "match": "*", "format": "raw"}])])
    weir.wait_output(lambda data: len(data) >= 2 * len(lines(0, 10)))
    append(path, line(10))
    weir.wait_output(lambda data: len(data) >= 2 * len(lines(0, 11)))
    weir.stop()
    assert sorted(numbers(weir.output())) == sorted(2 * list(range(11)))


# -- Deletion, directories ------------------------------------------------------------------------------


def test_deleted_with_its_directory(lab):
    folder = lab.path("logs")
    folder.mkdir()
    path = folder / "a.log"
    path.write_bytes(lines(0, 10))
    weir = lab.tail(lab.path("logs/*.log"))
    weir.wait_line(9)
    with open(path, "ab", buffering=0) as writer:
        path.unlink()
        folder.rmdir()
        writer.write(lines(10, 20))
    folder.mkdir()
    path.write_bytes(lines(20, 30))
    all_of(weir, 30)
    weir.stop()


def test_directory_moved_and_back(lab):
    folder, away = lab.path("logs"), lab.path("away")
    folder.mkdir()
    (folder / "a.log").write_bytes(lines(0, 10))
    weir = lab.tail(lab.path("logs/*.log"))
    weir.wait_line(9)
    folder.rename(away)
    append(away / "a.log", lines(10, 20))
    weir.wait_line(19)
    away.rename(folder)
    append(folder / "a.log", lines(20, 30))
    weir.wait_line(29)
    weir.stop()
    assert weir.output() == lines(0, 30)


def test_levels_of_directories_that_appear_later(lab):
    weir = lab.tail(lab.path("*/x?/**/*.log"))
    until(lambda: any("inotify" in target for target in weir.descriptors().values()), "directories are watched")
    for index, name in enumerate(("a/x1/b.log", "a/x2/c/d/e.log", "f/x3/g/h.log", "a/x1/i/j/k/l.log")):
        lab.path(name).parent.mkdir(parents=True, exist_ok=True)
        lab.path(name).write_bytes(line(index))
    all_of(weir, 4)
    weir.stop()


# -- What is no plain file, limits ----------------------------------------------------------------------


def test_special_files_in_the_pattern(lab):
    """FIFO, socket, device, directory, dangling link: not opened where that would hold up, told, the rest goes on."""
    os.mkfifo(lab.path("fifo.log"))
    lab.path("dir.log").mkdir()
    lab.path("dangling.log").symlink_to("nowhere")
    lab.path("null.log").symlink_to("/dev/zero")
    # a socket's path may have 107 bytes at most
    here = os.getcwd()
    os.chdir(lab.folder)
    try:
        with socket.socket(socket.AF_UNIX) as server:
            server.bind("socket.log")
            lab.path("plain.log").write_bytes(lines(0, 10))
            weir = lab.tail(lab.path("*.log"))
            weir.wait_line(9)
    finally:
        os.chdir(here)
    for name in ("fifo", "null", "socket"):
        weir.wait_log("%s.log is not a regular file" % name)
    lab.path("nowhere").write_bytes(lines(10, 20))
    weir.wait_line(19)
    lab.path("fifo.log").unlink()
    lab.path("fifo.log").write_bytes(lines(20, 30))
    weir.wait_line(29)
    weir.stop()
    assert weir.output() == lines(0, 30)


def test_out_of_descriptors(lab):
    path = lab.path("a.log")
    path.write_bytes(line(0))
    weir = lab.tail(lab.path("*.log"))
    weir.wait_line(0)
    resource.prlimit(weir.pid, resource.RLIMIT_NOFILE, (max(weir.descriptors()) + 3, 4096))
    for index in range(1, 10):
        lab.path("%d.log" % index).write_bytes(line(index))
    weir.wait_log("no more files can be opened")
    append(path, line(10))
    weir.wait_output(lambda data: line(10) in data)
    resource.prlimit(weir.pid, resource.RLIMIT_NOFILE, (4096, 4096))
    all_of(weir, 11)
    weir.stop()


@pytest.mark.parametrize("patterns", [["*.log"], ["*%d.log" % end for end in range(10)]], ids=["one", "ten"])
def test_more_files_than_descriptors(lab, patterns):
    """Without max_open_files: those that have nothing new make room, those of other inputs, too; no line is missed."""
    count, limit = 300, 128  # of which a quarter is left to others
    config = lab.config([{"name": "tail", "path": lab.path(pattern), "tag": "t", "read_from_head": True,
                          "rotate_wait": "100ms"} for pattern in patterns],
                        [{"name": "stdout", "match": "*", "format": "raw"}])
    paths = [lab.path("%03d.log" % index) for index in range(count)]
    for number, path in enumerate(paths):
        path.write_bytes(line(number))
    total = count

    def start():
        return lab.start(["-c", config], wrapper=["sh", "-c", 'ulimit -n %d; exec "$0" "$@"' % limit])

    weir = start()
    all_of(weir, total)
    weir.wait_log("no more files can be opened")
    for path in paths[::3] + paths[::7]:  # closed by now, or not
        append(path, line(total))
        total += 1
    all_of(weir, total)
    for path in paths[::11]:
        append(path, line(total))
        path.rename(path.with_suffix(".log.1"))
        path.write_bytes(line(total + 1))
        total += 2
    all_of(weir, total)
    weir.stop()
    for path in paths[::2]:
        append(path, line(total))
        total += 1
    weir = start()
    all_of(weir, total)
    append(paths[0], line(total))
    all_of(weir, total + 1)
    weir.stop()


def test_watch_limit_reached(lab, need):
    """In a user namespace of its own, whose limit hurts nobody else."""
    unshare = need("unshare")
    if subprocess.run([unshare, "-Ur", "sh", "-c", "echo 8 >/proc/sys/user/max_inotify_watches"], check=False,
                      stderr=subprocess.DEVNULL).returncode:
        pytest.skip("no user namespaces here")
    for index in range(20):
        lab.path("%02d.log" % index).write_bytes(line(index))
    config = lab.config([{"name": "tail", "path": lab.path("*.log"), "tag": "t", "read_from_head": True,
                          "poll_interval": "20ms", "rotate_wait": "100ms"}],
                        [{"name": "stdout", "match": "*", "format": "raw"}])
    real = harness.WEIR
    script = lab.path("limited")
    script.write_text("#!/bin/sh\nexec unshare -Ur sh -c 'echo 8 >/proc/sys/user/max_inotify_watches; "
                      "exec \"$0\" \"$@\"' %s \"$@\"\n" % real)
    script.chmod(0o755)
    harness.WEIR = script
    try:
        weir = lab.start(["-c", config])
    finally:
        harness.WEIR = real
    all_of(weir, 20)
    weir.wait_log("no more inotify watches")
    for index in range(20):
        append(lab.path("%02d.log" % index), line(20 + index))
    all_of(weir, 40)
    lab.path("19.log").rename(lab.path("19.log.1"))
    lab.path("19.log").write_bytes(line(40))
    lab.path("new.log").write_bytes(line(41))
    all_of(weir, 42)
    weir.stop()


def test_inotify_queue_overflows(lab):
    """While weir is held up more happens than the kernel keeps."""
    a, b = lab.path("a.log"), lab.path("b.log")
    a.write_bytes(line(0))
    b.write_bytes(line(1))
    weir = lab.tail(lab.path("*.log"))
    all_of(weir, 2)
    weir.freeze()
    limit = int(Path("/proc/sys/fs/inotify/max_queued_events").read_text())
    count = 2
    with open(a, "ab", buffering=0) as one, open(b, "ab", buffering=0) as two:
        for _ in range(limit // 2 + 100):
            one.write(line(count))
            two.write(line(count + 1))
            count += 2
    b.rename(lab.path("b.log.1"))
    b.write_bytes(line(count))
    lab.path("c.log").write_bytes(line(count + 1))
    weir.thaw()
    all_of(weir, count + 2)
    weir.stop()


def test_polling_sees_all(lab):
    """Without inotify: appended, rotated, created, deleted."""
    path = lab.path("a.log")
    path.write_bytes(line(0))
    weir = lab.tail(lab.path("*.log"), inotify_watcher=False, poll_interval="10ms")
    weir.wait_line(0)
    append(path, line(1))
    weir.wait_line(1)
    path.rename(lab.path("a.log.1"))
    append(lab.path("a.log.1"), line(2))
    path.write_bytes(line(3))
    all_of(weir, 4)
    path.unlink()
    lab.path("b.log").write_bytes(line(4))
    all_of(weir, 5)
    weir.stop()


def test_on_tmpfs(lab):
    with tempfile.TemporaryDirectory(dir="/dev/shm") as folder:
        path = Path(folder) / "a.log"
        path.write_bytes(lines(0, 10))
        weir = lab.tail(folder + "/*.log", name="one")
        weir.wait_line(9)
        path.rename(str(path) + ".1")
        path.write_bytes(lines(10, 20))
        weir.wait_line(19)
        weir.stop()
        append(str(path) + ".1", line(20))
        path.write_bytes(lines(21, 25))
        weir = lab.tail(folder + "/*.log", name="one")
        all_of(weir, 25)
        weir.stop()


# -- Lines ------------------------------------------------------------------------------------------------


def test_line_ends_and_characters_across_reads(lab):
    """CRLF and multi-byte characters written, and so read, in halves; nothing is changed."""
    path = lab.path("a.log")
    path.write_bytes(b"")
    weir = lab.tail(path)
    opened(weir, path)
    text = "one\r\ngrün\r\n日本語\n😀\r\n".encode()
    for index in range(len(text)):
        append(path, text[index:index + 1])
    weir.wait_output(lambda data: data == text)
    weir.stop()


@pytest.mark.parametrize("mode", ["split", "truncate", "skip"])
def test_long_line_that_grows_leaves_its_neighbours_alone(lab, mode):
    path = lab.path("a.log")
    path.write_bytes(lines(0, 3))
    weir = lab.tail(path, long_lines=mode, buffer_max_size="1k", buffer_chunk_size="4k")
    weir.wait_line(2)
    for _ in range(10):
        append(path, b"y" * 700)
    append(path, b"\n" + lines(3, 6))
    weir.wait_line(5)
    weir.stop()
    long = {"split": [b"y" * 1024] * 6 + [b"y" * 856], "truncate": [b"y" * 1024], "skip": []}[mode]
    assert weir.output() == lines(0, 3) + b"".join(part + b"\n" for part in long) + lines(3, 6)
