# SPDX-License-Identifier: Apache-2.0
"""in_tail with many files: nobody is held up by a scan, few descriptors are enough, and nothing is missed."""
from pathlib import Path

import harness
from harness import append, line, lines, numbers, until


def make(folder, directories, files, first=0):
    """So many directories with so many files of one line each; returns the paths and the next number."""
    paths = []
    for number in range(directories):
        directory = folder / ("d%04d" % number)
        directory.mkdir(parents=True)
        for index in range(files):
            path = directory / ("%03d.log" % index)
            path.write_bytes(line(first + len(paths)))
            paths.append(path)
    return paths, first + len(paths)


def all_of(weir, total):
    weir.wait_output(lambda data: len(data) >= len(lines(0, total)), "%d lines" % total)
    assert sorted(numbers(weir.output())) == list(range(total))


def test_others_are_served_during_a_scan(lab):
    """A line for one input comes while the files of another on the same loop are still being found."""
    paths, count = make(lab.path("many"), 100, 100)
    other = lab.path("other.log")
    other.write_bytes(line(count))
    common = {"name": "tail", "tag": "t", "read_from_head": True}
    config = lab.config([dict(common, path=str(other)), dict(common, path=str(lab.path("many/*/*.log")))],
                        [{"name": "stdout", "match": "*", "format": "raw"}], {"data_dir": ""})
    for attempt in range(20):  # the scan may be over before this process is scheduled
        weir = lab.start(["-c", config], name="weir%d" % attempt)
        weir.wait_output(lambda data: data.count(b"\n") > 10)
        weir.freeze()  # so that the line is there before more is found
        append(other, line(count + 1 + attempt))
        weir.thaw()
        weir.wait_output(lambda data, number=count + 1 + attempt: line(number) in data)
        found = weir.log_text().count("is followed from its start")
        weir.wait_output(lambda data, total=count + 2 + attempt: data.count(b"\n") >= total)
        weir.stop()
        assert sorted(numbers(weir.output())) == list(range(count + 2 + attempt))
        if found < len(paths):
            return
    raise AssertionError("the line came only after all %d files were found" % len(paths))


def test_many_files_and_few_descriptors(lab):
    """Lines of all files come once, whatever happens to files and directories meanwhile, also across a restart."""
    limit = 30
    paths, total = make(lab.path("logs"), 50, harness.scaled(60, 20))
    pattern = lab.path("logs/*/*.log")
    weir = lab.tail(pattern, name="one", max_open_files=limit, rotate_wait="100ms")
    weir.wait_output(lambda data: data.count(b"\n") > 5)
    for path in paths[::37]:
        append(path, line(total))
        total += 1
    all_of(weir, total)
    for path in paths[::101]:  # closed by now, or not: read to the end all the same
        append(path, line(total))
        path.rename(path.with_suffix(".log.1"))
        path.write_bytes(line(total + 1))
        total += 2
    make(lab.path("elsewhere"), 1, 1, total)
    total += 1
    lab.path("elsewhere/d0000").rename(lab.path("logs/dnew"))  # a directory that comes with a file in it
    all_of(weir, total)
    until(lambda: sum("/logs/" in name for name in weir.descriptors().values()) <= limit, "no more files are open")
    weir.stop()
    for path in paths[::17]:
        append(path, line(total))
        total += 1
    weir = lab.tail(pattern, name="one", max_open_files=limit, rotate_wait="100ms")
    all_of(weir, total)
    for path in paths[::13]:
        append(path, line(total))
        total += 1
    all_of(weir, total)
    weir.stop()


def test_events_lost_in_a_thousand_directories(lab):
    """More happens than the kernel keeps, in files, directories and names at once."""
    paths, total = make(lab.path("logs"), harness.scaled(1000, 200), 2)
    weir = lab.tail(lab.path("logs/*/*.log"), name="one", rotate_wait="100ms")
    all_of(weir, total)
    weir.freeze()
    limit = int(Path("/proc/sys/fs/inotify/max_queued_events").read_text())
    with open(paths[0], "ab", buffering=0) as one, open(paths[1], "ab", buffering=0) as two:
        for _ in range(limit // 2 + 100):
            one.write(line(total))
            two.write(line(total + 1))
            total += 2
    for number, path in enumerate(paths[2::7]):
        append(path, line(total))
        total += 1
        if number % 3 == 0:
            path.rename(path.with_suffix(".log.1"))
            path.write_bytes(line(total))
            total += 1
    for number in range(50):
        directory = lab.path("logs/new%02d" % number)
        directory.mkdir()
        (directory / "a.log").write_bytes(line(total))
        total += 1
    weir.thaw()
    all_of(weir, total)
    weir.stop()


def test_rescans_under_load(lab):
    """Walked through again and again while written to: each line once, and new files are found."""
    paths, total = make(lab.path("logs"), 20, harness.scaled(50, 20))
    weir = lab.tail(lab.path("logs/**/*.log"), name="one", refresh_interval="100ms")
    for turn in range(10):
        for path in paths[turn::11]:
            append(path, line(total))
            total += 1
        deep = lab.path("logs/d0001/a%d/b" % turn)
        deep.mkdir(parents=True)
        (deep / "c.log").write_bytes(line(total))
        total += 1
        all_of(weir, total)
    weir.stop()
