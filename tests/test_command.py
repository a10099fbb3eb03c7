"""python -m prctl: what it shows of a process, and the command that it becomes."""

import contextlib
import errno
import functools
import json
import os
import pty
import re
import resource
import signal
import subprocess
import sys
import tempfile
import time

import pytest
import support

import _prctl_children as children
import _prctl_cli
import prctl

PAGE = support.SOURCES / "docs" / "command.rst"
SETS = ("cap_effective", "cap_permitted", "cap_inheritable", "cap_ambient", "capbset")
FIELDS = ("CapEff", "CapPrm", "CapInh", "CapAmb", "CapBnd")
NET_RAW, CHOWN = 1 << 13, 1 << 0


def command(*arguments, **options):
    """The exit status of python -m prctl, its output, and its standard error."""
    line = [sys.executable, "-m", "prctl", *arguments]
    options.setdefault("env", support.fresh_environment())
    options = {"stdin": subprocess.DEVNULL, "stdout": -1, "stderr": -1} | options
    done = subprocess.run(line, check=False, **options)
    return done.returncode, *((text or b"").decode() for text in (done.stdout, done.stderr))


def in_process(*arguments, prepare=lambda: None, user=False):
    """The same in a child that has done what prepare does, and may be an ordinary user.

    It is not executed: such a user may not be able to run the interpreter.
    """
    with tempfile.TemporaryFile() as output, tempfile.TemporaryFile() as errors:

        def run():
            os.dup2(output.fileno(), 1)
            os.dup2(errors.fileno(), 2)
            descriptors = resource.getrlimit(resource.RLIMIT_NOFILE)
            prepare()
            try:
                _prctl_cli.main(list(arguments))
            finally:  # what measures the coverage writes a file at the end
                resource.setrlimit(resource.RLIMIT_NOFILE, descriptors)

        try:
            support.in_child(run, user=user)
            status = 0
        except SystemExit as end:
            status = end.code
        except support.ChildDied as death:  # a command has taken over
            status = os.waitstatus_to_exitcode(death.args[0])
        texts = []
        for file in output, errors:
            file.seek(0)
            texts.append(file.read().decode())
        return status, *texts


def output(answer):
    status, text, errors = answer
    assert (status, errors) == (0, "")
    return text


def shown(*arguments, **options):
    return json.loads(output(in_process("--json", *map(str, arguments), **options)))


def fields(text):
    lines = (line.partition(":") for line in text.splitlines())
    return {name: " ".join(value.split()) for name, _, value in lines}


def credentials(status):
    """What --json says of a status."""
    ids = ("real", "effective", "saved", "fs")
    found = {
        "uid": dict(zip(ids, map(int, status["Uid"].split()), strict=True)),
        "gid": dict(zip(ids, map(int, status["Gid"].split()), strict=True)),
        "groups": sorted(map(int, status["Groups"].split())),
        "no_new_privs": status["NoNewPrivs"] == "1",
        "seccomp": int(status["Seccomp"]),
        "seccomp_filters": int(status["Seccomp_filters"]) if "Seccomp_filters" in status else None,
    }
    for name, field in zip(SETS, FIELDS, strict=True):
        numbers = (number for number in range(64) if int(status[field], 16) >> number & 1)
        found[name] = sorted(prctl.ALL_CAP_NAMES[number] for number in numbers)
    return found


@contextlib.contextmanager
def sleeper(line=("sleep", "1000"), **options):
    process = subprocess.Popen(line, stdout=-1, **options)
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def width(text):
    return sum(2 if "\u3000" <= character < "\ua000" else 1 for character in text)


def is_one_line(text):
    return text.startswith("prctl: ") and text.count("\n") == 1 and text.endswith("\n")


# What a process has.


@pytest.mark.kernel("threads of a child")
def test_another_process_is_shown_as_proc_tells_it(user):
    with sleeper() as process:
        found = shown(process.pid, user=user)
        status = support.status(process.pid)
        ps = support.run("ps", "-o", "pid=,comm=,args=", "-p", str(process.pid))
    expected = credentials(status)
    assert {name: found[name] for name in expected} == expected
    texts = str(found["pid"]), found["name"], found["title"]
    assert " ".join(texts) == " ".join(ps.split())
    assert (found["tgid"], found["threads"], found["differing_threads"]) == (process.pid, 1, [])


def test_the_sets_of_another_process_are_those_of_getpcaps(root):
    orders = children.launcher(user="nobody", keep=["net_raw", "chown"])
    with sleeper([*orders, "sleep", "1000"]) as process:
        assert support.in_time(lambda: shown(process.pid)["name"] == "sleep")
        found = shown(process.pid)
        getpcaps = support.run(support.tool("getpcaps"), str(process.pid))
    sets = (found[name] for name in ("cap_permitted", "cap_effective", "cap_inheritable"))
    assert getpcaps == f"{process.pid}: {prctl.Capabilities(*sets)}\n"


@pytest.mark.kernel("subreaper")
def test_its_own_attributes_are_what_it_has_been_given(user):
    def prepare():
        for option, value in ((38, 1), (29, 4321), (1, 12), (36, 1), (41, 1), (4, 0)):
            support.kernel_prctl(option, value)
        prctl.set_name("named")

    found = shown(prepare=prepare, user=user)
    attributes = ("name", "no_new_privs", "timerslack", "pdeathsig", "child_subreaper")
    attributes += ("thp_disable", "dumpable", "securebits")
    given = ["named", True, 4321, 12, True, 1, False, []]
    assert [found[name] for name in attributes] == given


def test_its_own_securebits_are_named(root):
    def prepare():
        support.kernel_prctl(28, 0x2F)

    found = shown(prepare=prepare)["securebits"]
    locked = ["noroot", "noroot_locked", "no_setuid_fixup", "no_setuid_fixup_locked"]
    assert found == [*locked, "keep_caps_locked"]
    page = output(in_process(prepare=prepare))
    assert re.search(r"^securebits +noroot, noroot_locked, no_setuid_fixup,$", page, re.M)


@pytest.mark.kernel("seccomp filters")
def test_what_this_kernel_does_not_have_is_shown_as_such():
    def prepare():
        support.install_filter(support.refuse("prctl", errno.EINVAL, 42))  # PR_GET_THP_DISABLE

    found = shown(prepare=prepare)
    assert [name for name, value in found.items() if value is None] == ["thp_disable"]
    page = output(in_process(prepare=prepare))
    assert re.search(r"^thp_disable +not readable$", page, re.M)


@pytest.mark.parametrize(
    ("number", "text"), [(12, "12 (SIGUSR2)"), (0, "none"), (40, "40"), (62, "62")]
)
def test_the_parent_death_signal_has_its_name_where_it_has_one(number, text):
    page = output(in_process(prepare=lambda: support.kernel_prctl(1, number)))
    assert re.search(rf"^pdeathsig +{re.escape(text)}$", page, re.M)


def test_without_a_pid_it_shows_itself_as_a_process_of_its_starter():
    found = json.loads(output(command("--json")))
    plain = credentials(fields(support.run("cat", "/proc/self/status")))
    assert {name: found[name] for name in plain} == plain
    assert found["title"] == f"{sys.executable} -m prctl --json"


def test_a_pid_that_is_its_own_is_no_other_process():
    line = ["sh", "-c", 'exec "$0" -m prctl --json $$', sys.executable]
    found = json.loads(support.run(*line, env=support.fresh_environment()))
    assert found["dumpable"] is True


def test_what_no_proc_tells_of_another_process_is_shown_as_such(user):
    with sleeper() as process:
        found = shown(process.pid, user=user)
        page = output(in_process(str(process.pid), user=user))
    for name in ("dumpable", "securebits", "pdeathsig", "child_subreaper", "thp_disable"):
        assert found[name] is None
        assert re.search(rf"^{name} +not readable$", page, re.M)


def test_the_timer_slack_of_another_user_is_shown_to_those_who_may(root):
    with sleeper([*children.launcher(timerslack=4321), "sleep", "1000"]) as process:
        assert support.in_time(lambda: shown(process.pid)["timerslack"] == 4321)
        assert shown(process.pid, user=True)["timerslack"] is None


def test_an_object_has_the_same_keys_for_whatever_process():
    with sleeper() as process:
        assert list(shown(process.pid)) == list(shown())


@pytest.mark.kernel("command line")
def test_a_process_that_keeps_its_memory_to_itself_is_shown():
    with sleeper([sys.executable, "-c", _NOT_DUMPABLE], env=support.fresh_environment()) as process:
        process.stdout.readline()
        found = shown(process.pid, user=True)
        expected = credentials(support.status(process.pid))
    assert {name: found[name] for name in expected} == expected
    assert found["title"].startswith(f"{sys.executable} -c ")


_NOT_DUMPABLE = "import prctl, time; prctl.set_dumpable(0); print(flush=True); time.sleep(1000)"


def hide_processes(hidepid):
    """Mount /proc anew so that users see only their own processes; and become one of them."""
    support.mount_proc(f"hidepid={hidepid}")
    support.become_user()


@pytest.mark.parametrize("hidepid", [1, 2])
def test_of_a_hidden_process_only_the_existence_is_known(hidepid, root):
    prepare = functools.partial(hide_processes, hidepid)
    with sleeper() as process:
        found = shown(process.pid, prepare=prepare)
        page = output(in_process(str(process.pid), prepare=prepare))
    assert {name for name, value in found.items() if value is not None} == {"pid"}
    values = dict(line.split(maxsplit=1) for line in page.split("\n\n")[0].splitlines())
    assert values.pop("pid") == str(process.pid)
    assert set(values.values()) == {"not readable"}
    assert re.search(r"^in the set( +\?){5}$", page, re.M)
    assert re.search(r"^\? +not readable$", page, re.M)
    assert "-" not in page


def test_a_missing_process_is_one_line_and_1(user):
    with sleeper() as process:
        pass
    status, text, errors = in_process(str(process.pid), user=user)
    assert (status, text, errors) == (1, "", f"prctl: there is no process {process.pid}\n")


def test_a_zombie_is_shown():
    process = subprocess.Popen(["true"])
    try:
        assert support.in_time(lambda: support.status(process.pid)["State"].startswith("Z"))
        found = shown(process.pid)
    finally:
        process.wait()
    assert (found["name"], found["title"]) == ("true", "")


# Threads.

_THREADS = """
import os, sys, threading, prctl
def differ(change):
    prctl.set_name("worker")
    exec(change)
    os.write(1, b"%d\\n" % threading.get_native_id())
    threading.Event().wait()
for change in sys.argv[1:]:
    threading.Thread(target=differ, args=(change,), daemon=True).start()
threading.Event().wait()
"""


@contextlib.contextmanager
def with_threads(*changes):
    """A process whose threads have made a change each: its pid and their ids."""
    line = [sys.executable, "-c", _THREADS, *changes]
    with sleeper(line, env=support.fresh_environment()) as process:
        yield process.pid, sorted(int(process.stdout.readline()) for _ in changes)


@pytest.mark.kernel("threads of a child")
def test_threads_that_differ_are_named_with_what_they_have(user):
    with with_threads("", "prctl.set_no_new_privs()") as (pid, tids):
        different = [tid for tid in tids if support.status(pid, tid)["NoNewPrivs"] == "1"]
        found = shown(pid, user=user)
        page = output(in_process(str(pid), user=user))
    (tid,) = different
    assert found["threads"] == 3
    assert found["differing_threads"] == [{"tid": tid, "name": "worker", "no_new_privs": True}]
    assert re.search(r"^differing_threads +1, see below$", page, re.M)
    assert re.search(rf"\n\nthreads with +{tid} \(worker\)\nno_new_privs +yes\n$", page)


def test_threads_that_differ_in_the_same_way_are_named_together(root):
    change = "prctl.cap_permitted.drop('net_raw', 'chown')"
    with with_threads(change, change) as (pid, tids):
        found = shown(pid)
        page = output(in_process(str(pid)))
    left = [name for name in found["cap_permitted"] if name not in ("net_raw", "chown")]
    instead = {"name": "worker", "cap_effective": left, "cap_permitted": left}
    assert found["differing_threads"] == [{"tid": tid} | instead for tid in tids]
    who = ", ".join(f"{tid} (worker)" for tid in tids)
    assert re.search(
        rf"^threads with +{re.escape(who)}\ncap_effective +all but chown.*\n", page, re.M
    )


def test_threads_that_differ_in_different_ways_are_told_apart(root):
    changes = "prctl.cap_permitted.clear()", "prctl.set_no_new_privs()"
    with with_threads(*changes) as (pid, _):
        page = output(in_process(str(pid)))
    parts = page.split("\n\nthreads with ")[1:]
    assert sorted(part.partition("\n")[2].split()[0] for part in parts) == [
        "cap_effective",
        "no_new_privs",
    ]


def test_a_thread_with_every_capability_has_all(root):
    def prepare():
        support.enter_user_namespace()
        support.Worker()
        support.change_capabilities("CapEff", drop=2**64 - 1)

    page = output(in_process(prepare=prepare))
    assert re.search(r"^threads with .*\ncap_effective +all$", page, re.M)


def test_a_thread_that_ends_meanwhile_is_none_that_differs(monkeypatch):
    worker = support.Worker()
    worker.end()
    there = _prctl_cli._thread_ids
    monkeypatch.setattr(_prctl_cli, "_thread_ids", lambda folder: [*there(folder), worker.tid])
    assert shown()["differing_threads"] == []


def test_threads_that_agree_are_no_news():
    with with_threads("", "") as (pid, _):
        assert shown(pid)["differing_threads"] == []
        page = output(in_process(str(pid)))
    assert re.search(r"^differing_threads +none$", page, re.M)
    assert "threads with" not in page


@pytest.mark.kernel("threads of a child")
def test_the_id_of_a_thread_stands_for_that_thread():
    with with_threads("prctl.set_no_new_privs()") as (pid, (tid,)):
        found = shown(tid)
        page = output(in_process(str(tid)))
    assert (found["pid"], found["tgid"], found["no_new_privs"]) == (tid, pid, True)
    assert [thread["tid"] for thread in found["differing_threads"]] == [pid]
    assert re.search(rf"^pid +{tid}\ntgid +{pid}\n", page)


# The page for a person.


def rows(page):
    """The rows of the table: {capability: marks}."""
    table = page.split("\n\n")[1].splitlines()[2:]
    cells = [line.split() for line in table]
    return {name: "".join(marks) for name, *marks in cells if {*marks} <= {"x", "-"}}


def test_the_table_has_a_row_for_each_capability_that_the_process_has(root):
    def prepare():
        support.change_capabilities("CapInh", add=CHOWN)
        support.change_capabilities("CapEff", drop=~NET_RAW)
        support.change_capabilities("CapPrm", drop=~(NET_RAW | CHOWN))

    page = output(in_process(prepare=prepare))
    bounding = support.capability_mask("CapBnd")
    last = {name: "x" if bounding & mask else "-" for name, mask in _TWO.items()}
    assert rows(page) == {"chown": f"-xx-{last['chown']}", "net_raw": f"xx--{last['net_raw']}"}
    count = len(prctl.ALL_CAPS)
    whole = f"in the set +1 of {count} +2 of {count} +1 of {count} +none "
    assert re.search(f"^{whole}", page, re.M)


_TWO = {"chown": CHOWN, "net_raw": NET_RAW}


def test_all_gives_every_capability_a_row(user):
    marks = rows(output(in_process("--all", user=user)))
    found = shown(user=user)
    assert list(marks) == sorted(prctl.ALL_CAP_NAMES)
    for place, name in enumerate(SETS):
        assert [cap for cap in marks if marks[cap][place] == "x"] == found[name]


def test_sets_that_are_full_or_empty_say_so(root):
    def prepare():
        support.enter_user_namespace()

    page = output(in_process(prepare=prepare))
    assert re.search(r"^in the set +all +all +none +none +all$", page, re.M)
    assert "bounding only" not in page
    assert "in no set" not in page


def test_what_an_ordinary_user_does_not_have_is_listed_below_the_table(root):
    def prepare():
        for number in range(2, 64):
            with contextlib.suppress(OSError):  # above the last
                support.kernel_prctl(24, number)
        support.become_user()

    page = output(in_process(prepare=prepare))
    assert rows(page) == {}
    last = page.split("\n\n")[1]
    assert re.search(r"^bounding only +chown, dac_override$", last, re.M)
    assert re.search(r"^in no set +all but chown, dac_override$", last, re.M)


def many_groups():
    if support.ROOT:
        os.setgroups(range(100))
    prctl.set_proctitle("日本語" * 30 + " word" * 30)


@pytest.mark.parametrize("arguments", [(), ("--all",), ("--help",), ("exec", "--help")])
def test_no_line_is_wider_than_80_columns(arguments, user, monkeypatch):
    monkeypatch.delenv("COLUMNS", raising=False)
    prepare = many_groups if not user else lambda: None
    for line in output(in_process(*arguments, prepare=prepare, user=user)).splitlines():
        assert width(line) <= 80
        assert line == line.rstrip()


@pytest.mark.kernel("command line")
def test_a_word_wider_than_a_line_is_broken():
    def prepare():
        prctl.set_proctitle("x" * 150)

    page = output(in_process(prepare=prepare))
    assert re.search(r"^title {14}x{61}\n {19}x{61}\n {19}x{28}\n", page, re.M)


@pytest.mark.kernel("command line")
def test_a_long_title_is_cut_on_the_page_only():
    title = "x " * 1000

    def prepare():
        prctl.set_proctitle(title)

    assert shown(prepare=prepare)["title"] == title
    page = output(in_process(prepare=prepare))
    assert page.partition("\nuid")[0].count("x ") in range(110, 120)  # at line ends there are none
    assert re.search(r"^ {19}[x ]+ \.\.\.$", page, re.M)


@pytest.mark.kernel("command line")
def test_nothing_that_a_title_holds_reaches_the_terminal():
    def prepare():
        prctl.set_name(b"a\x1b[31m\n")
        prctl.set_proctitle(b"\x1b]0;x\x07 \xff \xe2\x80\xae \xc2\x9b")

    page = output(in_process(prepare=prepare))
    assert r"\x1b]0;x\x07 \xff \u202e \x9b" in page
    assert re.search(r"^name +a\\x1b\[31m\\n$", page, re.M)
    assert page.replace("\n", "").isprintable()


def test_ids_that_differ_are_told_apart(root):
    page = output(in_process(prepare=lambda: os.setresuid(1, 65534, 0)))
    names = support.run("id", "-un", "65534").strip()
    assert re.search(
        rf"^uid +real 1\(\w+\), effective 65534\({names}\), saved 0\(root\), fs", page, re.M
    )


# Colours, and where the output goes.


def on_terminal(*arguments, **environment):
    main, terminal = pty.openpty()
    environment = support.fresh_environment(**{"TERM": "xterm", "NO_COLOR": ""} | environment)
    try:
        assert command(*arguments, stdout=terminal, env=environment)[0] == 0
        os.close(terminal)
        text = b""
        with contextlib.suppress(OSError):  # EIO at the end
            while data := os.read(main, 4096):
                text += data
    finally:
        os.close(main)
    return text.decode().replace("\r\n", "\n")


def plain(text):
    return re.sub("\33\\[[0-9]*m", "", text)


def page_of_nobody(text):
    return re.sub(r"^(t?g?pid +)\d+", r"\1", text, flags=re.M)


def test_a_terminal_gets_colours_and_nothing_else_differs():
    text = on_terminal()
    assert "\33[" in text
    assert page_of_nobody(plain(text)) == page_of_nobody(command()[1])


@pytest.mark.parametrize("variable", [{"NO_COLOR": "1"}, {"TERM": "dumb"}, {"TERM": ""}])
def test_a_terminal_gets_no_colours_where_they_are_not_wanted(variable):
    assert "\33" not in on_terminal(**variable)


def test_colours_tell_what_to_look_at():
    with with_threads("prctl.set_no_new_privs()") as (pid, _):
        lines = on_terminal(str(pid)).splitlines()
    label = re.compile(r"\w+( \w+)*")
    looks = {
        label.match(plain(line))[0]: re.findall("\33\\[([1-9][0-9]*)m", line)
        for line in lines
        if label.match(plain(line))
    }
    bold, dim, red = "1", "2", "31"
    assert looks["uid"] == [bold]
    assert looks["dumpable"] == [bold, dim]  # not readable
    assert looks["differing_threads"] == [bold, red]
    assert looks["threads"] == [bold]
    assert looks["threads with"] == [bold, red]
    assert looks["capabilities"] == [bold] * 6


def test_there_are_no_colours_elsewhere():
    environment = support.fresh_environment(NO_COLOR="", TERM="xterm")
    assert "\33" not in output(command(env=environment))


@pytest.mark.parametrize("arguments", [(), ("--json",), ("--help",), ("exec", "--help")])
def test_output_that_cannot_be_written_is_one_line_and_1(arguments):
    with open("/dev/full", "w") as full:
        status, _, errors = command(*arguments, stdout=full)
    assert (status, errors) == (1, "prctl: standard output: No space left on device\n")


def test_a_closed_output_is_one_line_and_1():
    line = 'exec "$0" -m prctl >&-'
    done = subprocess.run(
        ["sh", "-c", line, sys.executable], env=support.fresh_environment(), stderr=-1, text=True
    )
    expected = 1, "prctl: standard output: Bad file descriptor\n"
    assert (done.returncode, done.stderr) == expected


@pytest.mark.parametrize(("arguments", "status"), [((), 1), (("exec", "--", "true"), 125)])
def test_a_want_of_descriptors_is_one_line(arguments, status):
    def prepare():
        limit = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        resource.setrlimit(resource.RLIMIT_NOFILE, (0, limit))

    answer, text, errors = in_process(*arguments, prepare=prepare)
    assert (answer, text) == (status, "")
    assert re.fullmatch(rf"prctl: /proc/\S+: {os.strerror(errno.EMFILE)}\n", errors)


def test_the_end_of_a_pipe_is_no_error():
    reader, writer = os.pipe()
    os.close(reader)
    try:
        assert command(stdout=writer) == (-signal.SIGPIPE, "", "")
    finally:
        os.close(writer)


_TITLED = """
import prctl, sys, time
prctl.set_proctitle(bytes.fromhex(sys.argv[1]))
print(flush=True)
time.sleep(1000)
"""


@contextlib.contextmanager
def titled(title):
    """A process that has a title: its pid."""
    line = [sys.executable, "-c", _TITLED, title.hex()]
    with sleeper(line, env=support.fresh_environment()) as process:
        process.stdout.readline()
        yield process.pid


@pytest.mark.kernel("command line")
def test_a_locale_that_lacks_a_character_does_not_matter():
    environment = support.fresh_environment(LC_ALL="C", PYTHONUTF8="0", PYTHONCOERCECLOCALE="0")
    with titled("日".encode()) as pid:
        page = output(command(str(pid), env=environment))
    assert re.search(r"^title +\\u65e5$", page, re.M)


@pytest.mark.kernel("command line")
def test_bytes_of_no_encoding_survive_in_json():
    with titled(b"a\xff b") as pid:
        found = shown(pid)
    assert os.fsencode(found["title"]) == b"a\xff b"


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["x"], "argument PID: no process id: x"),
        (["0"], "argument PID: no process id: 0"),
        (["+1"], "argument PID: no process id: +1"),
        ([str(2**31)], "argument PID: no process id: 2147483648"),
        (["\u0661"], "argument PID: no process id: \u0661"),
        (["1", "2"], "unrecognized arguments: 2"),
        (["--jso"], "unrecognized arguments: --jso"),
    ],
)
def test_bad_usage_is_one_line_and_2(arguments, text):
    expected = f"prctl: {text}; see python -m prctl --help\n"
    assert in_process(*arguments) == (2, "", expected)


def test_a_message_is_one_line_whatever_it_quotes():
    status, _, errors = in_process("a\nb")
    assert status == 2
    assert errors.startswith(r"prctl: argument PID: no process id: a\nb; ")


# The command that it becomes.


def become(*arguments, **options):
    """What a command prints that python -m prctl exec has become."""
    return output(in_process("exec", *arguments, **options))


def dump(*arguments, **options):
    """What setpriv says of itself in such a place."""
    return fields(become(*arguments, "--", support.tool("setpriv"), "--dump", **options))


def status_of(*arguments, **options):
    return fields(become(*arguments, "--", "cat", "/proc/self/status", **options))


UNCHANGED = ("Uid", "Gid", "Groups", *FIELDS, "NoNewPrivs", "Seccomp", "SigIgn", "SigBlk")


def test_without_options_a_command_is_as_its_starter_starts_it(user):
    def plain():
        return fields(support.run("cat", "/proc/self/status"))

    expected, found = support.in_child(plain, user=user), status_of(user=user)
    # posix_spawn(3), which subprocess may use, ignores the two signals that are libc's own.
    expected["SigIgn"] = f"{int(expected['SigIgn'], 16) & ~(3 << 31):016x}"
    assert {name: found[name] for name in UNCHANGED} == {name: expected[name] for name in UNCHANGED}


def test_a_user_has_the_groups_of_the_account_and_no_capability(root):
    status = status_of("--user", "nobody")
    uid, gid, groups = (support.run("id", f"-{letter}", "nobody").strip() for letter in "ugG")
    assert (status["Uid"], status["Gid"]) == (" ".join([uid] * 4), " ".join([gid] * 4))
    assert sorted(status["Groups"].split()) == sorted(groups.split())
    assert {status[name] for name in FIELDS[:4]} == {"0" * 16}


def test_ids_are_names_or_numbers(root):
    status = status_of("--user", "4321", "--group", "0", "--groups", "12,root,12")
    assert (status["Uid"], status["Gid"]) == (" ".join(["4321"] * 4), "0 0 0 0")
    assert status["Groups"] == "0 12"
    assert status_of("--groups=")["Groups"] == ""


def test_keep_gives_a_user_capabilities_that_survive(root):
    status = status_of("--user", "nobody", "--keep", "net_raw,CAP_CHOWN", "--keep", "kill")
    kept = f"{NET_RAW | CHOWN | 1 << 5:016x}"
    assert {status[name] for name in FIELDS[:4]} == {kept}


@pytest.mark.parametrize("option", ["--keep", "--ambient"])
def test_without_a_user_capabilities_become_ambient(option, root):
    before, status = support.status(), status_of(option, "net_raw", option, "chown")
    assert status["CapAmb"] == status["CapInh"] == f"{NET_RAW | CHOWN:016x}"
    assert status["CapPrm"] == before["CapPrm"]


def holder():
    """Be an ordinary user who has two capabilities, and those only in permitted."""
    support.kernel_prctl(8, 1)  # PR_SET_KEEPCAPS
    support.become_user()
    support.change_capabilities("CapPrm", drop=~(NET_RAW | CHOWN))


def test_a_user_who_holds_capabilities_in_permitted_only_can_give_them(root):
    status = status_of("--keep", "chown", prepare=holder)
    assert {status[name] for name in FIELDS[:4]} == {f"{CHOWN:016x}"}
    status = status_of("--inheritable", "net_raw", prepare=holder)
    assert [int(status[name], 16) for name in FIELDS[:4]] == [0, 0, NET_RAW, 0]
    status = status_of(prepare=holder)
    assert [int(status[name], 16) for name in FIELDS[:4]] == [0, 0, 0, 0]


def test_a_user_who_holds_capabilities_can_use_them_for_the_change(root):
    def prepare():
        support.kernel_prctl(8, 1)
        support.become_user()
        support.change_capabilities("CapPrm", drop=~(1 << 6 | 1 << 7))  # setgid, setuid

    status = status_of("--user", "4321", "--group", "4321", prepare=prepare)
    assert status["Uid"] == " ".join(["4321"] * 4)
    assert {status[name] for name in FIELDS[:4]} == {"0" * 16}


def test_sets_that_are_given_empty_are_emptied(root):
    def prepare():
        support.change_capabilities("CapInh", add=CHOWN)

    assert status_of("--inheritable=", prepare=prepare)["CapInh"] == "0" * 16
    assert status_of("--bounding=")["CapBnd"] == "0" * 16
    assert status_of("--bounding", "chown", "--bounding", "net_raw")["CapBnd"] == (
        f"{NET_RAW | CHOWN:016x}"
    )


def test_no_new_privs(user):
    assert dump("--no-new-privs", user=user)["no_new_privs"] == "1"


@pytest.mark.parametrize("name", ["TERM", "SIGTERM", "sigterm", "15"])
def test_pdeathsig_by_name_or_number(name, user):
    assert dump("--pdeathsig", name, user=user)["Parent death signal"] == "TERM"


def test_pdeathsig_outlives_the_change_of_user(root):
    assert dump("--pdeathsig", "KILL", "--user", "nobody")["Parent death signal"] == "KILL"


def test_securebits_by_name(root):
    bits = "noroot,noroot_locked,NO_SETUID_FIXUP"
    expected = "noroot,noroot_locked,no_setuid_fixup"
    assert dump("--securebits", bits)["Securebits"] == expected
    noroot = functools.partial(support.kernel_prctl, 28, 1)
    assert dump("--securebits=", prepare=noroot)["Securebits"] == "[none]"


def test_timerslack_and_thp_disable(user):
    support.needs_kernel("PR_SET_THP_DISABLE", 41, 0)
    text = ["--timerslack", "4321", "--", "cat", "/proc/self/timerslack_ns"]
    assert become(*text, user=user) == "4321\n"
    if "THP_enabled" in support.status():
        assert status_of("--thp-disable", user=user)["THP_enabled"] == "0"


@pytest.mark.kernel("subreaper")
def test_child_subreaper():
    ask = "from ctypes import *; CDLL(None).prctl(37, byref(flag := c_int())); print(flag.value)"
    assert become("--child-subreaper", "--", sys.executable, "-c", ask) == "1\n"


@pytest.mark.kernel("subreaper")
def test_a_command_that_shows_itself_shows_what_it_was_given(root):
    options = ["--ambient", "net_raw", "--bounding", "net_raw,chown", "--no-new-privs"]
    options += ["--timerslack", "4321", "--pdeathsig", "TERM", "--thp-disable"]
    options += ["--child-subreaper"]
    found = json.loads(output(command("exec", *options, sys.executable, "-m", "prctl", "--json")))
    expected = {
        "cap_ambient": ["net_raw"],
        "capbset": ["chown", "net_raw"],
        "no_new_privs": True,
        "timerslack": 4321,
        "pdeathsig": signal.SIGTERM,
        "thp_disable": 1,
        "child_subreaper": True,
    }
    assert {name: found[name] for name in expected} == expected


# It really becomes the command.


def test_there_is_one_process_and_no_other(tmp_path):
    log = tmp_path / "log"
    strace = [support.tool("strace"), "-f", "-qq", "-o", str(log), "-e", "trace=process"]
    options = ["--no-new-privs", "--pdeathsig", "TERM", "--timerslack", "4321"]
    options += ["--user", "nobody", "--keep", "net_raw"] if support.ROOT else []
    probe = subprocess.run([*strace, "true"], stderr=-1, text=True, check=False)
    if probe.returncode:
        pytest.skip(f"strace cannot trace here: {probe.stderr.strip()}")
    line = [*strace, sys.executable, "-m", "prctl", "exec", *options, "--", "sh", "-c", "echo $$"]
    pid = support.run(*line, env=support.fresh_environment()).strip()
    calls = [entry.split(maxsplit=1) for entry in log.read_text().splitlines()]
    assert {who for who, _ in calls} == {pid}
    made = [re.match(r"\w+", call)[0] for _, call in calls if call[0].isalpha()]
    assert {*made} <= {"execve", "exit_group", "wait4"}
    executed = [call for _, call in calls if call.startswith("execve") and call.endswith("= 0")]
    assert len(executed) == 3  # the interpreter, the launcher, the command


def test_the_shell_that_started_it_is_the_parent_of_the_command():
    script = """echo $$; "$0" -m prctl exec -- sh -c 'echo $$ $PPID' & wait; echo $! """
    environment = support.fresh_environment()
    text = support.run("sh", "-c", script, sys.executable, env=environment)
    shell, pid, parent, started = text.split()
    assert (pid, parent) == (started, shell)


def test_a_signal_to_the_process_reaches_the_command():
    line = [sys.executable, "-m", "prctl", "exec", "--", "sh", "-c", "echo; exec sleep 1000"]
    with sleeper(line, env=support.fresh_environment()) as process:
        process.stdout.readline()
        process.terminate()
        assert process.wait() == -signal.SIGTERM


def ignored(*arguments, starter=()):
    script = 'exec "$@"'
    line = ["sh", "-c", f"{''.join(starter)} {script}", "sh", sys.executable, "-m", "prctl", "exec"]
    line += ["grep", "SigIgn", "/proc/self/status"]
    return int(support.run(*line, env=support.fresh_environment()).split()[1], 16)


@pytest.mark.kernel("blocked signals")  # /proc shows the emulator's
def test_signals_have_their_default_action_unless_the_starter_ignores_them():
    def run():
        for number in signal.SIGHUP, signal.SIGINT, signal.SIGQUIT:  # nohup, or a job of a script
            signal.signal(number, signal.SIG_DFL)
        return ignored(), ignored(starter="trap '' INT HUP;")

    usual, some = support.in_child(run)
    assert usual & ~(3 << 31) == 0
    assert some & ~(3 << 31) == 1 << 1 | 1 << 0


def test_an_interrupt_before_the_command_leaves_no_traceback():
    def prepare():
        signal.signal(signal.SIGINT, signal.default_int_handler)

        def interrupt(*_):
            os.kill(os.getpid(), signal.SIGINT)

        _prctl_cli._show = _prctl_cli._execute = interrupt

    assert in_process(prepare=prepare) == (-signal.SIGINT, "", "")
    assert in_process("exec", "true", prepare=prepare) == (-signal.SIGINT, "", "")


@pytest.mark.parametrize(
    "locale", [{}, {"LC_CTYPE": "C.UTF-8"}, {"LANG": "C"}, {"LC_ALL": "POSIX"}]
)
def test_the_environment_is_that_of_the_starter(locale):
    environment = {"PATH": os.environ["PATH"], "PYTHONSAFEPATH": "1", "A": "b=c"} | locale
    text = output(command("exec", "env", "-0", env=environment))
    assert dict(line.split("=", 1) for line in text.split("\0") if line) == environment


def test_descriptors_of_the_starter_pass_and_no_other():
    reader, writer = os.pipe()
    try:
        ask = ["sh", "-c", "cd /proc/$$/fd && echo *"]
        plain = support.run(*ask, pass_fds=[writer])
        assert output(command("exec", "--", *ask, pass_fds=[writer])) == plain
        assert str(writer) in plain.split()
    finally:
        os.close(reader)
        os.close(writer)


def test_it_is_there_after_a_starter_that_has_closed_everything(tmp_path):
    script = f'"$0" -m prctl exec sh -c "echo here >{tmp_path}/file" <&- >&- 2>&-'
    support.run("sh", "-c", script, sys.executable, env=support.fresh_environment())
    assert (tmp_path / "file").read_text() == "here\n"


# The parent.


def test_the_signal_comes_when_the_shell_that_started_it_ends():
    script = '"$0" -m prctl exec --pdeathsig TERM -- sh -c "echo \\$\\$; exec sleep 1000"; true'
    line = ["sh", "-c", script, sys.executable]
    with sleeper(line, env=support.fresh_environment()) as shell:
        pid = int(shell.stdout.readline())
        assert support.is_running(pid)
        shell.kill()
        shell.wait()
        assert support.in_time(lambda: not support.is_running(pid))


@pytest.mark.kernel("subreaper")
def test_a_parent_that_ends_before_the_command_starts_is_an_error(user):
    def orphan():
        starter = os.getppid()
        prepared = children._prepared

        def after_its_end(*arguments):
            os.kill(starter, signal.SIGKILL)
            assert support.in_time(lambda: os.getppid() != starter)
            return prepared(*arguments)

        children._prepared = after_its_end
        try:
            _prctl_cli.main(["exec", "--pdeathsig", "TERM", "--", "echo", "never"])
        finally:
            os._exit(77)

    def run():
        reader, writer = os.pipe()
        support.kernel_prctl(36, 1)  # PR_SET_CHILD_SUBREAPER: the orphan comes here
        starter = os.fork()
        if starter == 0:
            os.dup2(writer, 1)
            os.dup2(writer, 2)
            if os.fork() == 0:
                orphan()
            time.sleep(60)  # the orphan ends it before
            os._exit(1)
        os.close(writer)
        with open(reader) as pipe:
            text = pipe.read()
        os.waitpid(starter, 0)
        return os.waitstatus_to_exitcode(os.wait()[1]), text, starter

    status, text, starter = support.in_child(run, user=user)
    assert text == f"prctl: getppid() is no longer {starter}: No such process\n"
    assert status == 125


# What cannot be.


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ([], "no COMMAND is given"),
        (["--"], "no COMMAND is given"),
        (["--no-new-privs"], "no COMMAND is given"),
        (["--user"], "argument --user: expected one argument"),
        (["--user", "--", "true"], "argument --user: expected one argument"),
        (["--bogus", "--", "true"], "unrecognized arguments: --bogus"),
        (["--no-new", "--", "true"], "unrecognized arguments: --no-new"),
        (["--keep", "x", "true"], "argument --keep: Unknown capability: x"),
        (["--ambient", "cap_", "true"], "argument --ambient: Unknown capability: cap_"),
        (["--inheritable", "-a,1", "true"], "argument --inheritable: expected one argument"),
        # An argument to CPython 3.14.10, though one that names no capability.
        (["--inheritable", "-1,a", "true"], "argument --inheritable: "),
        (["--bounding", "chown,none", "true"], "argument --bounding: Unknown capability: none"),
        (["--securebits", "0x1", "true"], "argument --securebits: Unknown securebit: 0x1"),
        (["--pdeathsig", "0", "true"], "argument --pdeathsig: Unknown signal: 0"),
        (["--pdeathsig", "65", "true"], "argument --pdeathsig: Unknown signal: 65"),
        (["--pdeathsig", "SIGSIGTERM", "true"], "argument --pdeathsig: Unknown signal: SIGSIGTERM"),
        (["--timerslack", "1us", "true"], "argument --timerslack: invalid int value: '1us'"),
        (["--timerslack=-1", "true"], "timerslack does not fit an unsigned long"),
        (["--user", str(2**32), "--group=0", "true"], "user does not fit 32 bits"),
        (["--user", "root", "--ambient", "chown", "true"], "ambient is for a child without user:"),
    ],
)
def test_bad_usage_of_exec_is_one_line_and_2(arguments, text):
    status, printed, errors = in_process("exec", *arguments)
    assert (status, printed) == (2, "")
    assert errors.startswith(f"prctl: {text}")
    assert errors.endswith("; see python -m prctl exec --help\n")
    assert is_one_line(errors)


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["--user", "no such"], "unknown user: no such"),
        (["--group", "no such"], "unknown group: no such"),
        (["--groups", "0,no such"], "unknown group: no such"),
        (["--user", "4294967"], "uid 4294967 has no account: group must be given"),
    ],
)
def test_who_does_not_exist_is_one_line_and_125(arguments, text, user):
    expected = 125, "", f"prctl: {text}\n"
    assert in_process("exec", *arguments, "--", "true", user=user) == expected


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["--user", "root"], "needs CAP_SET"),
        (["--group", "12"], "changing the group needs CAP_SETGID"),
        (["--groups", "12"], "changing the supplementary groups needs CAP_SETGID"),
        (["--keep", "chown"], "the permitted set does not have chown"),
        (["--bounding="], "dropping from the bounding set needs CAP_SETPCAP"),
        (["--securebits", "noroot"], "changing securebits needs CAP_SETPCAP"),
    ],
)
def test_what_is_refused_is_one_line_and_125(arguments, text, root):
    status, printed, errors = in_process("exec", *arguments, "--", "echo", user=True)
    assert (status, printed) == (125, "")
    assert errors.startswith("prctl: Operation not permitted: ")
    assert text in errors
    assert is_one_line(errors)


@pytest.mark.parametrize(
    ("name", "status", "text"),
    [
        ("no-such-command", 127, "No such file or directory"),
        ("/no/such", 127, "No such file or directory"),
        ("/etc/passwd", 126, "Permission denied"),
        ("/etc", 126, "Permission denied"),
    ],
)
def test_a_command_that_cannot_be_is_126_or_127(name, status, text):
    assert in_process("exec", "--", name) == (status, "", f"prctl: {name}: {text}\n")


def test_arguments_that_are_too_long_are_126():
    expected = 126, "", "prctl: true: Argument list too long\n"
    assert in_process("exec", "--", "true", "x" * (1 << 18)) == expected


def test_a_launcher_that_cannot_be_reached_is_one_line_and_125(monkeypatch):
    monkeypatch.setattr(children, "_PATH", "/no/such/launcher")
    expected = 125, "", "prctl: /no/such/launcher: No such file or directory\n"
    assert in_process("exec", "--", "true") == expected


def test_the_exit_status_is_the_command_s():
    assert in_process("exec", "--", "sh", "-c", "exit 7")[0] == 7
    assert in_process("exec", "--", "sh", "-c", "kill -9 $$")[0] == -9


@pytest.mark.parametrize("line", ["-- echo -- -a", "echo -- -a", "--no-new-privs echo -- -a"])
def test_what_follows_the_command_is_its_own(line):
    assert become(*line.split()) == "-- -a\n"


def test_options_of_the_command_are_its_own():
    assert become("echo", "--user", "root", "--json") == "--user root --json\n"


def test_arguments_of_any_bytes_reach_the_command():
    line = [sys.executable, "-m", "prctl", "exec", "printf", "%s|", b"\xff\n", b"", "日", " "]
    environment = support.fresh_environment()
    assert subprocess.check_output(line, env=environment) == b"\xff\n||" + "日| |".encode()


# The manual.


def test_the_manual_page_has_every_key_and_every_option():
    text = PAGE.read_text()
    assert [name for name in shown() if f"``{name}``" not in text] == []
    for arguments in [], ["exec"]:
        options = re.findall(r"--[a-z-]+", output(in_process(*arguments, "--help")))
        documented = [name for name in {*options} - {"--help"} if f"option:: {name}" in text]
        assert sorted(documented) == sorted({*options} - {"--help"})
