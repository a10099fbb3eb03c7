"""A plugin of pytest for mutations.py: some tests in an order, or what each test comes by."""

import json
import mmap
import os
import pathlib

import pytest

JOB = json.loads(pathlib.Path(os.environ.pop("PRCTL_REACH")).read_text())
# Not for the processes that tests start.
for variable in ("PYTHONPATH", "PYTHONPYCACHEPREFIX"):
    del os.environ[variable]
os.environ["PYTHONDONTWRITEBYTECODE"] = "1"


def pytest_configure(config):
    if "record" in JOB:
        config.pluginmanager.register(Recorder(JOB))
    else:
        config.option.maxfail = 1


def pytest_collection_modifyitems(items):
    if "known" in JOB:
        known = json.loads(pathlib.Path(JOB["known"]).read_text())
        items[:] = [item for item in items if item.nodeid not in known]
    if "only" in JOB:
        place = {test: number for number, test in enumerate(JOB["only"])}
        items[:] = [item for item in items if item.nodeid in place]
        items.sort(key=lambda item: place[item.nodeid])


class Recorder:
    def __init__(self, job):
        self.path, self.tests = job["record"], {}
        with open(job["reached"], "r+b") as file:
            self.reached = mmap.mmap(file.fileno(), 0)

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item):
        self.reached[:] = bytes(len(self.reached))
        self.passed, self.seconds = True, 0
        result = yield
        if self.passed:
            numbers = [number for number, byte in enumerate(self.reached[:]) if byte]
            self.tests[item.nodeid] = self.seconds, numbers
        return result

    def pytest_runtest_logreport(self, report):
        self.passed &= report.passed
        self.seconds += report.duration

    def pytest_sessionfinish(self):
        pathlib.Path(self.path).write_text(json.dumps(self.tests))
