"""The launcher by itself: its arguments, its exit statuses, the calls that it makes."""

import errno
import os
import re
import signal
import struct
import subprocess

import pytest
import support

import prctl
from _prctl_children import _PATH

# The same program on the C library, as on architectures whose start src/start.h does not know.
BUILDS = "installed", "with libc"


@pytest.fixture(params=BUILDS)
def program(request, tmp_path_factory):
    if request.param == "installed":
        return _PATH
    folder = tmp_path_factory.getbasetemp()
    path = folder / "launcher_with_libc"
    if not path.exists():
        source = support.SOURCES / "src" / "launcher.c"
        include = f"-I{source.parent}"
        support.compile_c(source.read_text(), path, include, "-DWITH_LIBC", "-ffreestanding")
    return str(path)


def launch(program, *arguments, **options):
    """The exit status, what is printed, and what is said on standard error."""
    command = [program, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False, **options)
    return done.returncode, done.stdout, done.stderr


def test_it_executes_the_command(program):
    assert launch(program, "--", "echo", "--", "a b", "") == (0, "-- a b \n", "")


def test_it_gives_the_environment_to_the_command(program):
    environment = {"PATH": "/usr/bin:/bin", "A": "b=c"}
    assert launch(program, "--", "env", env=environment) == (0, "PATH=/usr/bin:/bin\nA=b=c\n", "")


def test_the_exit_status_is_the_command_s(program):
    assert launch(program, "--", "sh", "-c", "exit 7")[0] == 7
    assert launch(program, "--", "sh", "-c", "kill -9 $$")[0] == -signal.SIGKILL


@pytest.mark.kernel("first argument")
def test_what_is_executed_can_differ_from_what_the_command_is_told(program):
    command = "exec=/bin/sh", "--", "called", "-c", 'echo "$0"'
    assert launch(program, *command) == (0, "called\n", "")


def test_it_takes_the_steps_in_order(program):
    strace = support.tool("strace")
    steps = "prctl=36,1", "prctl=29,0xabc", "prctl=38,1", "parent=0x7fffffff"
    command = [strace, "-qq", "-X", "raw", "-e", "trace=prctl,getppid,execve,write", program]
    done = subprocess.run([*command, *steps, "--", "true"], stderr=subprocess.PIPE, text=True)
    first, *calls = re.findall(r"^(\w+)\((\w*)", done.stderr, re.M) or [("", "")]
    if first[0] != "execve":
        pytest.skip(f"strace cannot trace here: {done.stderr}")
    expected = ("prctl", "0x24"), ("prctl", "0x1d"), ("prctl", "0x26"), ("getppid", "")
    assert calls == [*expected, ("write", "2")]


@pytest.mark.parametrize(
    "argument",
    [
        "nonsense",
        "",
        "-",
        "--help",
        "setuid=0",
        "setresuid",
        "setresuid=",
        "setresuid=1,2",
        "setresuid=1,2,3,4",
        "setresuid=1,2,x",
        "setresuid=1,2,-1",
        "setresuid=1,2,+1",
        "setresuid=1,2, 1",
        "setresuid=1,,3",
        "setresuid=1,2,3,",
        "setresuid=,1,2",
        "setresuid=1,2,0x",
        "setresuid=1,2,a",
        "setresuid=1,2,0xA",
        "setresuid=1,2,0xg",
        "setresuid=1,2,4294967296",
        "setresgid=1,2,99999999999999999999999999",
        "setgroups=1,x",
        "setgroups=4294967296",
        "capset=0,0",
        "capset=0,0,0x10000000000000000",
        "capset=0,0,18446744073709551616",
        "prctl=",
        "prctl=1,2,3,4,5,6",
        "prctl=0x10000000000000000",
        "seccomp=",
        "seccomp=0",
        "seccomp=06",
        "seccomp=060000000000ff7",
        "seccomp=060000000000fF7f",
        "seccomp=060000000000gf7f",
        "seccomp=060000000000fg7f",
        "seccomp=060000000000:f7f",
        "seccomp=060000000000/f7f",
        "seccomp=060000000000ff7f0",
        "seccomp=" + "060000000000ff7f" * 4097,
        "parent=",
        "parent=x",
        "parent=1,2",
        "parent=2147483648",
        "report=",
        "report=-1",
        "close=2147483648",
    ],
)
def test_an_argument_of_another_form_ends_it_before_any_step(program, argument, tmp_path):
    made = tmp_path / "made"
    status, _, line = launch(program, "report=77", argument, "--", "touch", str(made))
    assert status == 125
    assert not made.exists()
    status, _, line = launch(program, "setresuid=0,0,0", argument, "--", "touch", str(made))
    assert (status, made.exists()) == (125, False)
    assert line == f"prctl: {argument}: Invalid argument\n"[-1024:] or len(line) == 1024


@pytest.mark.parametrize("arguments", [(), ("--",), ("prctl=38,1",), ("prctl=38,1", "--")])
def test_without_a_command_it_does_nothing(program, arguments):
    assert launch(program, *arguments) == (125, "", "prctl: no command: Invalid argument\n")


@pytest.mark.parametrize(
    ("step", "line"),
    [
        ("prctl=8,7", "prctl(PR_SET_KEEPCAPS,7): Invalid argument"),
        ("prctl=47,2,63", "prctl(PR_CAP_AMBIENT,2,63): Invalid argument"),
        ("prctl=38,1,2", "prctl(PR_SET_NO_NEW_PRIVS,1,2): Invalid argument"),
        ("prctl=9999", "prctl(?): Invalid argument"),
        ("capset=1,0,0", "capset(1,0,0): Operation not permitted"),
        ("seccomp=ffff000000000000", "prctl(PR_SET_SECCOMP): Invalid argument"),
        ("parent=2147483647", "getppid() is no longer 2147483647: No such process"),
    ],
)
def test_a_step_that_fails_is_one_line_and_125(program, step, line, tmp_path):
    made = tmp_path / "made"
    found = launch(program, "prctl=38,1", step, "--", "touch", str(made))
    assert found == (125, "", f"prctl: {line}\n")
    assert not made.exists()


def test_an_ordinary_user_is_refused_what_is_not_theirs(program):
    def refused():
        return launch(program, "setgroups=", "--", "true")

    if support.in_child(os.access, program, os.X_OK, user=True) is False:
        pytest.skip("an ordinary user cannot reach the program")
    expected = 125, "", "prctl: setgroups(): Operation not permitted\n"
    assert support.in_child(refused, user=True) == expected


@pytest.mark.parametrize(
    ("command", "status", "reason"),
    [
        ("no-such-command", 127, "No such file or directory"),
        ("/no/such/command", 127, "No such file or directory"),
        ("/etc/passwd/command", 127, "Not a directory"),
        ("/etc/passwd", 126, "Permission denied"),
        ("/etc", 126, "Permission denied"),
        ("x" * 5000, 126, "File name too long"),
    ],
)
def test_a_command_that_cannot_be_executed_is_one_line(program, command, status, reason):
    found, _, line = launch(program, "--", command)
    assert found == status
    assert line == f"prctl: {command}: {reason}\n" or len(line) == 1024
    assert line.endswith("\n")
    assert line.count("\n") == 1


def test_a_file_of_no_known_format_is_not_given_to_a_shell(program, tmp_path):
    path = tmp_path / "script"
    path.write_text("echo hello\n")
    path.chmod(0o755)
    assert launch(program, "--", path) == (126, "", f"prctl: {path}: Exec format error\n")


def test_the_path_of_its_own_environment_is_searched(program, tmp_path):
    for folder in "first", "second":
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "tool").write_text(f"#!/bin/sh\necho {folder}\n")
    (tmp_path / "second" / "tool").chmod(0o755)
    path = {"PATH": f"{tmp_path}/missing:{tmp_path}/first:{tmp_path}/second/"}
    assert launch(program, "--", "tool", env=path) == (0, "second\n", "")
    (tmp_path / "second" / "tool").unlink()
    assert launch(program, "--", "tool", env=path) == (126, "", "prctl: tool: Permission denied\n")


def test_an_empty_entry_of_the_path_is_the_current_folder(program, tmp_path):
    (tmp_path / "tool").write_text("#!/bin/sh\necho here\n")
    (tmp_path / "tool").chmod(0o755)
    for path in "", ":/nonexistent", "/nonexistent:", "/nonexistent::/nonexistent":
        assert launch(program, "--", "tool", env={"PATH": path}, cwd=tmp_path)[1] == "here\n"


def test_without_a_path_the_usual_folders_are_searched(program):
    assert launch(program, "--", "echo", "found", env={}) == (0, "found\n", "")


def test_the_first_folder_with_a_command_that_cannot_be_executed_is_the_one_to_tell(
    program, tmp_path
):
    """As os.execvpe() does it: a folder that is none counts like one without the command."""
    for folder, mode in ("refused", 0o644), ("nonsense", 0o755):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "tool").write_bytes(b"\177nonsense")
        (tmp_path / folder / "tool").chmod(mode)
    file, refused, nonsense = (tmp_path / name for name in ("refused/tool", "refused", "nonsense"))
    for folders, status, why in (
        ([file, refused, nonsense], 126, "Permission denied"),
        ([nonsense, refused], 126, "Exec format error"),
        ([file, tmp_path], 127, "No such file or directory"),
    ):
        path = {"PATH": ":".join(map(str, folders))}
        found = launch(program, "--", "tool", env=path)
        assert found == (status, "", f"prctl: tool: {why}\n")


@pytest.mark.parametrize("order", ["-", "x-", "-x", "---"])
def test_nothing_but_two_dashes_comes_before_the_command(program, order):
    assert launch(program, order, "echo", "executed")[:2] == (125, "")


@pytest.mark.parametrize("order", ["close=77", "report=77"])
def test_a_descriptor_that_is_not_open_ends_it_before_the_command(program, order):
    assert launch(program, order, "--", "echo", "executed")[:2] == (125, "")


@pytest.mark.kernel("seccomp filters")
def test_a_seccomp_program_may_have_as_many_instructions_as_the_kernel_takes(program):
    allow = support.refuse("getppid", 0)[-8:]
    order = f"seccomp={(allow * 4096).hex()}"
    assert launch(program, "prctl=38,1", order, "--", "echo", "executed") == (0, "executed\n", "")


def report_of(program, *arguments):
    reader, writer = os.pipe()
    command = [program, f"report={writer}", *arguments]
    process = subprocess.Popen(command, pass_fds=[writer], stderr=subprocess.DEVNULL)
    os.close(writer)
    with open(reader, "rb") as pipe:
        data = pipe.read()
    process.wait()
    return struct.unpack("ii", data) if data else None


def test_a_report_says_which_argument_has_failed_and_how(program):
    assert report_of(program, "--", "true") is None
    assert report_of(program, "--", "no-such-command") == (2, errno.ENOENT)
    assert report_of(program, "prctl=38,1", "prctl=8,7", "--", "true") == (3, errno.EINVAL)
    assert report_of(program, "prctl=38,1", "nonsense", "--", "true") == (3, errno.EINVAL)
    assert report_of(program, "parent=2147483647", "--", "true") == (2, errno.ESRCH)


def test_the_command_has_neither_the_report_nor_what_is_to_be_closed(program):
    reader, writer = os.pipe()
    listing = "--", "ls", "/proc/self/fd"
    plain = launch(program, *listing)[1]
    with open(reader, "rb"), open(writer, "wb"):
        orders = f"report={writer}", f"close={reader}"
        assert launch(program, *orders, *listing, pass_fds=[reader, writer])[1] == plain


def test_a_parent_in_another_pid_namespace_is_not_gone(program, root):
    unshare = support.tool("unshare")
    probe = subprocess.run([unshare, "-pf", "true"], stderr=subprocess.PIPE, text=True, check=False)
    if probe.returncode:
        pytest.skip(f"no pid namespaces here: {probe.stderr}")
    done = launch(unshare, "-pf", program, f"parent={os.getpid()}", "--", "echo", "alive")
    assert done == (0, "alive\n", "")


def test_it_is_an_ordinary_file_that_gives_nobody_anything():
    mode = os.stat(_PATH).st_mode
    assert mode & 0o7111 == 0o111
    with pytest.raises(OSError, match="No data available"):
        os.getxattr(_PATH, "security.capability")


def test_it_needs_no_library():
    support.needs_launcher_without_libc()
    done = launch(_PATH, "--", "true", env={"LD_PRELOAD": "/nonexistent", "PATH": "/nowhere"})
    assert done[0] == 127
    assert "ld.so" not in done[2]


def test_its_list_names_the_installed_file():
    assert prctl.launcher()[0] == _PATH
