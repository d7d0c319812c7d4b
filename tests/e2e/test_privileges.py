# SPDX-License-Identifier: Apache-2.0
"""service.user: started as root, weir becomes another user for good, with what it was told to keep and nothing else."""
import grp
import os
import pwd
import signal

import pytest

from harness import append, lines, numbers, run, until

pytest_plugins = ["outside"]

NOBODY = pwd.getpwnam("nobody")
ADM = grp.getgrnam("adm").gr_gid
DAC_READ_SEARCH = 1 << 2


def config(lab, service, name="weir.yaml", user="nobody", **options):
    service = {"data_dir": lab.path("data"), "log_level": "debug", "user": user, "checkpoint_interval": "10ms", **service}
    return lab.config([{"name": "tail", "path": lab.path("logs/*.log"), "tag": "t", "read_from_head": True,
                        "refresh_interval": "100ms", **options}],
                      [{"name": "stdout", "match": "*", "format": "raw"}], service, name=name)


@pytest.fixture
def logs(outside):
    folder = outside.path("logs")
    folder.mkdir()
    append(folder / "a.log", lines(0, 1000))
    return folder


def check_identity(weir, uid, gids, capabilities):
    """Of every thread: capabilities and groups are each thread's own."""
    for task in weir.threads():
        status = weir.kernel_status(task)
        assert status["Uid"].split() == [str(uid)] * 4
        assert status["Gid"].split() == [str(gids[0])] * 4
        assert sorted(map(int, status["Groups"].split())) == sorted(gids)
        assert status["NoNewPrivs"] == "1"
        assert [int(status[name], 16) for name in ("CapPrm", "CapEff", "CapBnd", "CapInh", "CapAmb")] == [
            capabilities, capabilities, capabilities, 0, 0], task


def test_all_is_given_up(outside, logs):
    """It reads, keeps positions, reloads and starts again, and is nobody all the while."""
    path = config(outside, {"log_file": outside.path("weir.log")})
    outside.folder.chmod(0o755)
    for begin in (0, 1000, 2000):
        weir = outside.start(["-c", path])
        append(logs / "a.log", lines(max(begin, 1000), begin + 1000))
        assert numbers(weir.wait_line(begin + 999)) == list(range(begin + 1000))
        check_identity(weir, NOBODY.pw_uid, [NOBODY.pw_gid], 0)
        weir.signal(signal.SIGHUP)
        until(lambda: outside.path("weir.log").read_text().count("generation 2 is in force") > begin // 1000, "the reload")
        weir.stop()
    for file in [outside.path("data"), outside.path("weir.log"), *outside.path("data").iterdir()]:
        stat = file.stat()
        assert (stat.st_uid, stat.st_gid) == (NOBODY.pw_uid, NOBODY.pw_gid), file
        assert file.name == "weir.log" or stat.st_mode & 0o077 == 0, file


def test_a_capability_that_is_kept_reads_what_belongs_to_root(outside, logs):
    (logs / "a.log").chmod(0o600)
    logs.chmod(0o700)
    weir = outside.start(["-c", config(outside, {"keep_capabilities": ["dac_read_search"]})])
    weir.wait_line(999)
    check_identity(weir, NOBODY.pw_uid, [NOBODY.pw_gid], DAC_READ_SEARCH)
    (logs / "b.log").write_bytes(lines(1000, 1100))
    (logs / "b.log").chmod(0o600)
    weir.wait_line(1099)
    weir.stop()
    assert numbers(weir.output()) == list(range(1100))


def test_without_it_such_a_file_is_not_read(outside, logs):
    (logs / "secret.log").write_bytes(b"secret\n")
    (logs / "secret.log").chmod(0o600)
    weir = outside.start(["-c", config(outside, {})])
    weir.wait_line(999)
    weir.wait_log("Permission denied")
    weir.stop()
    assert weir.output() == lines(0, 1000)


def test_groups(outside, logs):
    """root:adm 0640, as Debian's logs are; the groups that root was in are gone."""
    os.chown(logs / "a.log", 0, ADM)
    (logs / "a.log").chmod(0o640)
    weir = outside.start(["-c", config(outside, {"group": "adm"})])
    weir.wait_line(999)
    check_identity(weir, NOBODY.pw_uid, sorted({ADM, *os.getgrouplist("nobody", ADM)}), 0)
    weir.stop()


def test_a_number_without_a_name(outside, logs):
    weir = outside.start(["-c", config(outside, {"group": "4343"}, user="4242")])
    weir.wait_line(999)
    check_identity(weir, 4242, [4343], 0)
    weir.stop()


def test_a_reload_can_not_change_it(outside, logs):
    path = config(outside, {})
    weir = outside.start(["-c", path])
    weir.wait_line(999)
    config(outside, {"keep_capabilities": ["dac_read_search"]}, user="daemon")
    weir.signal(signal.SIGHUP)
    weir.wait_log("needs a restart: user")
    weir.wait_log("needs a restart: keep_capabilities")
    check_identity(weir, NOBODY.pw_uid, [NOBODY.pw_gid], 0)
    weir.stop()


def test_a_configuration_that_it_can_not_read_again(outside, logs):
    path = config(outside, {})
    path.chmod(0o600)
    weir = outside.start(["-c", path])
    weir.wait_log("user nobody can't read %s: Permission denied; weir runs, but can't reload" % path)
    weir.wait_line(999)  # that was said before signals are taken
    weir.signal(signal.SIGHUP)
    weir.wait_log("nothing was changed; generation 1 runs on")
    assert weir.running()
    weir.stop()


@pytest.mark.parametrize("what", ["directory", "file", "spool"])
def test_data_dir_of_root(outside, logs, what):
    data = outside.path("data")
    data.mkdir()
    if what != "directory":
        os.chown(data, NOBODY.pw_uid, NOBODY.pw_gid)
    if what == "file":
        (data / "checkpoint.db").touch(0o600)
    if what == "spool":
        (data / "spool").mkdir(0o700)
    weir = outside.start(["-c", config(outside, {})])
    weir.wait(2)
    name = {"directory": "", "file": ": checkpoint.db", "spool": ": spool"}[what]
    assert "data_dir %s%s can't be written by user nobody: Permission denied; chown -R nobody '%s'" % (
        data, name, data) in weir.log_text()


def test_data_dir_is_a_file_system(outside, logs):
    """Which has a directory that is root's alone, and is to stay so."""
    data = outside.path("data")
    data.mkdir()
    os.chown(data, NOBODY.pw_uid, NOBODY.pw_gid)
    (data / "lost+found").mkdir(0o700)
    weir = outside.start(["-c", config(outside, {})])
    weir.wait_line(999)
    weir.stop()


def test_only_root_can(outside, logs):
    """Who is that user already may say so; who is another can't become it."""
    path = config(outside, {})
    script = "import os,sys; os.setgroups([]); os.setgid(%d); os.setuid(%d); os.execv(sys.argv[1], sys.argv[1:])"
    for user, status in ((pwd.getpwnam("daemon"), 2), (NOBODY, None)):
        data = outside.path("data")
        if status is None:
            data.mkdir()
            os.chown(data, NOBODY.pw_uid, NOBODY.pw_gid)
        weir = outside.start(["-c", path], name="as-" + user.pw_name, program=outside.copy_of_weir(), wrapper=[
            "/usr/bin/python3", "-c", script % (user.pw_gid, user.pw_uid)])
        if status:
            weir.wait(status)
            assert "can't become user nobody: weir was started as user %d, and only root can" % user.pw_uid in weir.log_text()
        else:
            weir.wait_line(999)
            weir.stop()


@pytest.mark.parametrize("service,text", [
    ({"user": "no-such-user"}, "service: this host has no user 'no-such-user'"),
    ({"user": "-1"}, "service: this host has no user '-1'"),
    ({"user": "4294967295"}, "service: this host has no user '4294967295'"),
    ({"user": "4242"}, "service: user 4242 is in no list of users, so its group is not known: set option 'group', too"),
    ({"user": "nobody", "group": "no-such-group"}, "service: this host has no group 'no-such-group'"),
    ({"group": "adm"}, "service: option 'group' needs option 'user'"),
    ({"keep_capabilities": "syslog"}, "service: option 'keep_capabilities' needs option 'user'"),
    ({"user": "nobody", "keep_capabilities": ["CAP_SYSLOG", "sys_admin"]},
     "service: option 'keep_capabilities': 'sys_admin' is none of dac_read_search, net_bind_service, net_raw and syslog"),
])
def test_mistakes(lab, service, text):
    path = lab.config([{"name": "tail", "path": lab.path("*.log"), "tag": "t"}], [{"name": "stdout", "match": "*"}], service)
    status, _, err = run(["check", "-c", path], lab.folder)
    row = 1 + next(i for i, row in enumerate(path.read_text().splitlines()) if '"%s"' % list(service)[-1] in row)
    assert status == 1 and err.decode().startswith("%s:%d:" % (path, row)), err
    assert text in err.decode()
