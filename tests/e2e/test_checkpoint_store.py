# SPDX-License-Identifier: Apache-2.0
"""The place of the positions fails, at the start or while weir runs: it is said, and no line is lost."""
import http.client
import os
import shutil
import sqlite3
import subprocess

import pytest

import harness
from harness import append, line, lines, numbers, until
from ports import free_port


@pytest.fixture
def small_disk(lab):
    """A file system of its own, of one MiB."""
    folder = lab.path("disk")
    folder.mkdir()
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", folder], capture_output=True, check=False)
    if done.returncode:
        why = "no mount here: " + done.stderr.decode(errors="replace").strip()
        (pytest.fail if harness.IN_CI else pytest.skip)(why)
    yield folder
    lab.finish()
    subprocess.run(["umount", "-l", folder], check=True)


def reasons(port):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=harness.DEADLINE)
    connection.request("GET", "/readyz")
    return connection.getresponse().read().decode()


def fill(path):
    with open(path, "wb", buffering=0) as file:
        try:
            while file.write(bytes(4096)):
                pass
        except OSError:
            pass
    return path


def test_full_disk_holds_no_line_up_and_passes(lab, small_disk):
    path = lab.path("a.log")
    path.write_bytes(lines(0, 10))
    port = free_port()
    service = {"http_server": True, "http_port": port, "data_dir": small_disk / "data", "checkpoint_interval": "50ms"}
    weir = lab.tail(path, name="first", service=service)
    weir.wait_line(9)
    ballast = fill(small_disk / "ballast")
    number = 10
    while "can't be written" not in weir.log_text():
        append(path, line(number))
        weir.wait_line(number)
        number += 1
        assert number < 100000, "the disk was never full for weir"
    append(path, lines(number, number + 1000))
    number += 1000
    weir.wait_line(number - 1)
    until(lambda: "checkpoint: positions can't be written now" in reasons(port), lambda: "a complaint: " + reasons(port))
    os.unlink(ballast)
    weir.wait_log("positions are written again")
    until(lambda: "checkpoint" not in reasons(port), lambda: "no complaint any more: " + reasons(port))
    weir.kill()
    append(path, line(number))
    again = lab.tail(path, name="again", service=service)
    found = numbers(again.wait_line(number))
    assert found[0] > 9 and found == list(range(found[0], number + 1)), "what was held back was never written"
    again.stop()


# -- What the files say -------------------------------------------------------------------------------------


def database(lab):
    return lab.path("data") / "checkpoint.db"


def read_some(lab, path, begin, end, name="weir"):
    append(path, lines(begin, end))
    weir = lab.tail(path, name=name)
    weir.wait_line(end - 1)
    weir.stop()


def garbage(path):
    path.write_bytes(b"\xa5" * 20000)


def torn(path):
    """The page with the rows holds what another one did: the header is good, the rest is not."""
    data = path.read_bytes()
    path.write_bytes(data[:4096] + bytes(len(data) - 4096))


def halved(path):
    path.write_bytes(path.read_bytes()[:4096])


def emptied(path):
    path.write_bytes(b"")


@pytest.mark.parametrize("damage", [garbage, torn, halved, emptied], ids=lambda damage: damage.__name__)
def test_damaged_file_is_replaced_by_the_backup(lab, damage):
    """What was delivered since the backup comes again; nothing is lost, and not everything is read again."""
    path = lab.path("a.log")
    read_some(lab, path, 0, 100)
    # a new start writes a new backup, with the first position that is written then
    append(path, lines(100, 200))
    weir = lab.tail(path, name="second")
    weir.wait_line(199)
    until(lambda: (lab.path("data") / "checkpoint.backup").stat().st_mtime_ns > database(lab).stat().st_ctime_ns - 10**10
          and not (lab.path("data") / "checkpoint.db-backup").exists(), "the backup")
    weir.stop()
    append(path, lines(200, 300))
    damage(database(lab))
    again = lab.tail(path, name="again")
    again.wait_line(299)
    found = numbers(again.output())
    assert found == list(range(found[0], 300)) and 100 <= found[0] <= 200
    text = again.log_text()
    assert "is damaged (" in text and "it is kept as checkpoint.damaged" in text and "an input that was new since then begins anew" in text
    assert (lab.path("data") / "checkpoint.damaged").exists()
    again.stop()
    append(path, line(300))
    assert lab.tail(path, name="last").wait_line(300) == line(300)


@pytest.mark.parametrize("damage", [garbage, torn, halved], ids=lambda damage: damage.__name__)
def test_damaged_file_without_a_backup_is_refused(lab, damage):
    path = lab.path("a.log")
    read_some(lab, path, 0, 100)
    (lab.path("data") / "checkpoint.backup").unlink()
    damage(database(lab))
    before = database(lab).read_bytes()
    weir = lab.tail(path, name="again")
    weir.wait(2)
    text = weir.log_text()
    assert "checkpoint.db is damaged (" in text and "move it away to begin anew" in text
    assert weir.output() == b"" and database(lab).read_bytes() == before
    database(lab).unlink()  # as it says
    assert lab.tail(path, name="anew").wait_line(99) == lines(0, 100)


def test_newer_version_is_refused_and_left_alone(lab):
    path = lab.path("a.log")
    read_some(lab, path, 0, 100)
    with sqlite3.connect(database(lab)) as db:
        db.execute("PRAGMA user_version = 99")
    weir = lab.tail(path, name="again")
    weir.wait(2)
    assert "was written by a newer weir (format 99, this one knows up to 1): run that one" in weir.log_text()
    with sqlite3.connect(database(lab)) as db:
        assert db.execute("PRAGMA user_version").fetchone() == (99,)
        db.execute("PRAGMA user_version = 1")
    append(path, line(100))
    assert lab.tail(path, name="last").wait_line(100) == line(100)


def test_second_weir_is_refused(lab):
    path = lab.path("a.log")
    path.write_bytes(lines(0, 100))
    first = lab.tail(path)
    first.wait_line(99)
    second = lab.tail(path, name="second")
    second.wait(2)
    assert "is in use by weir with pid %d; give this one another data_dir" % first.pid in second.log_text()
    append(path, line(100))
    first.wait_line(100)


def test_read_only_place_is_refused(lab, small_disk):
    path = lab.path("a.log")
    path.write_bytes(lines(0, 10))
    (small_disk / "data").mkdir()
    subprocess.run(["mount", "-o", "remount,ro", small_disk], check=True)
    weir = lab.tail(path, service={"data_dir": small_disk / "data"})
    weir.wait(2)
    assert "can't be written: weir.lock: Read-only file system" in weir.log_text()
    subprocess.run(["mount", "-o", "remount,rw", small_disk], check=True)
    lab.tail(path, name="again", service={"data_dir": small_disk / "data"}).wait_line(9)


# -- What happens to them while weir runs -----------------------------------------------------------------


def remove_all(data):
    shutil.rmtree(data)


def remove_database(data):
    (data / "checkpoint.db").unlink()


def remove_log(data):
    (data / "checkpoint.db-wal").unlink()


def move_away(data):
    data.rename(data.with_name("elsewhere"))


@pytest.mark.parametrize("what", [remove_all, remove_database, remove_log, move_away], ids=lambda what: what.__name__)
def test_removed_while_running_is_written_anew(lab, what):
    """All of it, also of files that say nothing more."""
    quiet, path = lab.path("quiet.log"), lab.path("a.log")
    quiet.write_bytes(lines(1000, 1100))
    path.write_bytes(lines(0, 10))
    weir = lab.tail("%s,%s" % (quiet, path), service={"checkpoint_interval": "20ms"})
    weir.wait_output(lambda data: data.count(b"\n") == 110)
    log = lab.path("data") / "checkpoint.db-wal"
    until(log.exists, "the first positions")
    old = log.open("rb")  # kept open: its inode is not another file's meanwhile
    weir.freeze()
    what(lab.path("data"))
    weir.thaw()
    number = 10
    while "were removed or replaced while weir runs: they are written anew" not in weir.log_text():
        append(path, line(number))
        weir.wait_output(lambda data: line(number) in data)
        number += 1
        assert number < 5000
    until(lambda: is_another(log, old) and holds_both(lab), "both positions")
    old.close()
    size = log.stat().st_size
    append(path, line(number))
    number += 1
    until(lambda: log.stat().st_size > size, "another transaction, so that theirs is over")
    weir.kill()
    append(path, line(number))
    again = lab.tail("%s,%s" % (quiet, path), name="again")
    found = numbers(again.wait_line(number))
    assert found == list(range(found[0], number + 1)) and found[0] > 9
    assert "refused" not in again.log_text()


def is_another(path, old):
    """It says that the positions are written anew before it gives the old log up."""
    try:
        return not os.path.samestat(path.stat(), os.fstat(old.fileno()))
    except FileNotFoundError:
        return False


def holds_both(lab):
    """Read as bytes: a reader of SQLite's own would take part in what is tested."""
    log = lab.path("data") / "checkpoint.db-wal"
    return log.exists() and all(str(lab.path(name)).encode() in log.read_bytes() for name in ("quiet.log", "a.log"))


def test_damaged_while_running(lab):
    """SQLite may notice only later, when the backup stands in: said, and no line is lost."""
    path = lab.path("a.log")
    path.write_bytes(lines(0, 10))
    weir = lab.tail(path, service={"checkpoint_interval": "20ms"})
    weir.wait_line(9)
    until(lambda: (lab.path("data") / "checkpoint.backup").exists(), "the backup, which comes after the first positions")
    for name in ("checkpoint.db", "checkpoint.db-wal"):
        with open(lab.path("data") / name, "r+b") as file:
            file.write(b"\xa5" * max(8192, os.fstat(file.fileno()).st_size))
    for number in range(10, 60):
        append(path, line(number))
        weir.wait_line(number)
    weir.stop()
    append(path, line(60))
    again = lab.tail(path, name="again")
    found = numbers(again.wait_line(60))
    assert found == list(range(found[0], 61))
    assert found[0] > 0 or "goes on with checkpoint.backup" in again.log_text()
