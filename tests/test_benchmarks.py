"""The benchmarks: every row gives its figures, and the documentation shows the kept ones."""

import csv
import json
import shutil
import subprocess
import sys
import xml.etree.ElementTree as ElementTree

import pytest
import support

BENCHMARKS = support.SOURCES / "benchmarks"
DOCS = support.SOURCES / "docs"

pytestmark = pytest.mark.skipif(
    not BENCHMARKS.exists(), reason="the benchmarks are not beside the tests"
)


@pytest.fixture(scope="module")
def quick_run(tmp_path_factory):
    """What a run of every row prints and writes, with the fewest rounds and without the peers."""
    if shutil.which("cc") is None and shutil.which("gcc") is None:
        pytest.skip("no C compiler is installed")
    folder = tmp_path_factory.mktemp("benchmarks")
    files = ["--json", folder / "results.json", "--svg", folder / "chart.svg"]
    few = ["--seconds", "0", "--gib", "0.01", "--build", folder]
    text = support.run(sys.executable, "-P", BENCHMARKS, *files, *few, "--no-peers")
    return text, json.loads(files[1].read_text()), files[3].read_text()


def test_every_row_has_a_figure_and_its_ratio_to_the_limit(quick_run):
    _, results, _ = quick_run
    for row in results["rows"].values():
        low, middle, high = row["to_limit"]["prctl"]
        assert (row["rounds"] >= 3, row["medians"]["prctl"] > 0) == (True, True), row
        assert 0 < low <= middle <= high, row


def test_root_leaves_out_no_row(quick_run, root):
    text, results, _ = quick_run
    assert len(text.splitlines()) == len(results["rows"]) + 2


def test_a_line_of_the_table_fits_the_terminal(quick_run):
    text, *_ = quick_run
    assert [line for line in text.splitlines()[1:] if len(line) > 100] == []


def test_the_chart_has_a_bar_and_a_text_for_every_row(quick_run):
    _, results, chart = quick_run
    svg = ElementTree.fromstring(chart)
    texts = [text.text for text in svg.iter("{http://www.w3.org/2000/svg}text")]
    assert {row["what"] for row in results["rows"].values()} <= set(texts)
    bars = svg.findall("{http://www.w3.org/2000/svg}rect/{http://www.w3.org/2000/svg}title")
    assert len(bars) >= len(results["rows"])


@pytest.mark.parametrize(("how", "made"), [("once", 1), ("loop", 4), ("thread", 3)])
def test_a_call_that_can_be_made_once_has_none_before_it(how, made):
    task = {
        "module": "sys",
        "setup": "",
        "how": how,
        "clock": "perf_counter",
        "statements": ["stderr.write('x')"],
    }
    worker = support.SOURCES / "benchmarks" / "worker.py"
    done = subprocess.run(
        [sys.executable, worker, json.dumps(task)],
        input="0 1\n" if how == "once" else "0 3\n",
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stderr == "x" * made


def test_a_row_that_does_not_exist_is_an_error_that_names_those_that_do():
    with pytest.raises(AssertionError, match=r"no such row; there are get_dumpable, "):
        support.run(sys.executable, "-P", BENCHMARKS, "nonsense")


def test_some_rows_cannot_take_the_place_of_all_that_are_kept():
    with pytest.raises(AssertionError, match="--record keeps all rows"):
        support.run(sys.executable, "-P", BENCHMARKS, "get_name", "--record")


# ---- The documentation


@pytest.fixture(scope="module")
def documented():
    return json.loads((BENCHMARKS / "results.json").read_text())["rows"]


def test_the_documentation_shows_the_results_that_are_kept(tmp_path):
    made = tmp_path / "benchmarks"
    shutil.copytree(BENCHMARKS, made, ignore=shutil.ignore_patterns("__pycache__"))
    (tmp_path / "docs").mkdir()
    support.run(sys.executable, "-P", made / "report.py")
    for name in "benchmarks.svg", "benchmarks.csv":
        assert (tmp_path / "docs" / name).read_text() == (DOCS / name).read_text(), name


def test_the_documented_table_has_every_row(documented):
    with open(DOCS / "benchmarks.csv", newline="") as file:
        _, *rows = csv.reader(file)
    assert [row[0] for row in rows] == [row["what"] for row in documented.values()]
