"""Commands run side by side by asyncio, none of which outlives its task or this process.

    python examples/asyncio_children.py --seconds 2 'sort' 'sleep 60' --input $'b\na\n'

Prints what each command has printed; those that take longer than --seconds are ended. Kill this
process, even with SIGKILL, and the kernel ends the commands.
"""

import argparse
import asyncio
import contextlib
import os
import signal
import sys

import prctl

GRACE = 2  # seconds that a command has to end when it is told to


async def run(command: str, data: bytes) -> tuple[int | None, bytes]:
    """The exit status of a shell command and what it prints; it ends with the task, or before."""
    start = asyncio.create_subprocess_exec(
        # Made by this process, for its own children: not once for all, at import.
        *prctl.launcher(pdeathsig=signal.SIGKILL),
        *("/bin/sh", "-c", command),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        process_group=0,
    )
    starting = asyncio.create_task(start)
    try:
        # Shielded: to cancel a start can leave what the command has started, and wait for ever.
        process = await asyncio.shield(starting)
        output, _ = await process.communicate(data)
    finally:
        process = await starting
        if process.returncode is None:
            await end(process)  # asyncio ends the waiting only, and lets the command go on
    return process.returncode, output


async def end(process: asyncio.subprocess.Process) -> None:
    # A shell has children of its own, which keep the pipe open: the signals are for the group.
    send(process, signal.SIGTERM)
    try:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(process.wait(), GRACE)
    finally:  # also when it is cancelled once more
        send(process, signal.SIGKILL)
    await process.wait()


def send(process: asyncio.subprocess.Process, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, number)


async def report(command: str, data: bytes, seconds: float) -> None:
    try:
        async with asyncio.timeout(seconds):
            status, output = await run(command, data)
    except TimeoutError:
        print(f"{command}: ended after {seconds:g} seconds", flush=True)
    else:
        print(f"{command}: status {status}, {output!r}", flush=True)


async def main() -> None:
    parser = argparse.ArgumentParser(description="Run shell commands side by side.")
    parser.add_argument("commands", nargs="+", metavar="COMMAND")
    parser.add_argument("--seconds", type=float, default=10, help="for each; default: 10")
    parser.add_argument("--input", default="", help="what each command reads")
    options = parser.parse_args()
    data = options.input.encode()
    async with asyncio.TaskGroup() as group:
        for command in options.commands:
            group.create_task(report(command, data, options.seconds))


if __name__ == "__main__":
    try:
        asyncio.run(main())
    except KeyboardInterrupt:
        sys.exit("interrupted")
