"""Real pytest runs: a suite over four processes by `tms run` and by others, and what the plugin adds to one process."""

import os
import random
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from benchmarks.figures import Figure, figure, median
from benchmarks.runner_scale import Scale
from benchmarks.serving import Server
from benchmarks.steps import Steps

SHARDS = 4
FILES = 40

SAME = 1.02
"""Not worse than another: a fiftieth is luck."""

Contender = Callable[[Path], list[list[str]]]

_PYTEST = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:valkey"]


class RunFailed(Exception):
    """A run did not end as it should; says what it printed last."""


def measure(server: Server, scale: Scale, steps: Steps) -> list[Figure]:
    """All contenders by turns, so that a drift of the machine meets each."""
    folder = Path(tempfile.mkdtemp(prefix="tms-bench-suites-"))
    try:
        return [*_makespans(server, folder / "slow", scale, steps), *_overhead(server, folder / "tiny", scale, steps)]
    finally:
        shutil.rmtree(folder)


def _makespans(server: Server, suite: Path, scale: Scale, steps: Steps) -> list[Figure]:
    best = _write_slow(suite, scale.real_seconds)
    with steps.step("four pytest side by side that run nothing"):
        best += min(_run([[*_PYTEST, "--collect-only"]] * SHARDS, suite, server) for _ in range(scale.rounds))
    tms = [sys.executable, "-m", "tms_sdk", "run", "--shards", str(SHARDS)]
    contenders: dict[str, Contender] = {
        "tms run, queue": lambda _: [[*tms, "--mode", "queue", "--", *_PYTEST]],
        "tms run, static": lambda _: [[*tms, "--mode", "static", "--", *_PYTEST]],
        "pytest-xdist (worksteal)": lambda _: [[*_PYTEST, "-n", str(SHARDS), "--dist", "worksteal"]],
        "pytest-split (least_duration)": _by_pytest_split,
        "round-robin by file": _by_round_robin,
    }
    with steps.step("the suite once, for what all of them know of it"):
        _run(contenders["tms run, queue"](suite), suite, server)
        _run([[*_PYTEST, "--store-durations", "--durations-path", str(suite / "durations.json")]], suite, server)
    took: dict[str, list[float]] = {name: [] for name in contenders}
    for number in range(1, scale.rounds + 1):
        for name, commands in contenders.items():
            with steps.step(f"{name}, round {number}"):
                took[name].append(_run(commands(suite), suite, server))
    middle = {name: median(values) for name, values in took.items()}
    ours = [name for name in contenders if name.startswith("tms")]
    found = [
        figure(f"{name}: real suite, by the best possible", middle[name], "s", floor=best, at_most=1.05)
        for name in ours
    ]
    for rival in (name for name in contenders if name not in ours):
        found += [
            figure(f"{name}: real suite, by {rival}", middle[name], "s", floor=middle[rival], at_most=SAME)
            for name in ours
        ]
    return found


def _by_pytest_split(suite: Path) -> list[list[str]]:
    options = ["--durations-path", str(suite / "durations.json"), "--splitting-algorithm", "least_duration"]
    return [[*_PYTEST, "--splits", str(SHARDS), "--group", str(group), *options] for group in range(1, SHARDS + 1)]


def _by_round_robin(suite: Path) -> list[list[str]]:
    files = sorted(str(path.name) for path in suite.glob("test_*.py"))
    return [[*_PYTEST, *files[shard::SHARDS]] for shard in range(SHARDS)]


def _write_slow(suite: Path, seconds: float) -> float:
    """Files of tests that wait, in the shape of unit tests with a slow file; returns the best possible makespan."""
    rnd = random.Random(1984)  # noqa: S311 - made-up durations
    files = [[rnd.lognormvariate(0, 1.2) for _ in range(rnd.randint(2, 12))] for _ in range(FILES - 1)]
    files.append([rnd.uniform(2, 6) for _ in range(20)])
    factor = seconds / sum(map(sum, files))
    suite.mkdir(parents=True)
    for number, durations in enumerate(files):
        listed = ", ".join(f"{duration * factor:.4f}" for duration in durations)
        (suite / f"test_{number:02}.py").write_text(
            f"import time\n\nimport pytest\n\n\n@pytest.mark.parametrize('seconds', [{listed}])\n"
            "def test_waits(seconds):\n    time.sleep(seconds)\n"
        )
    return max(seconds / SHARDS, factor * max(map(max, files)))


def _overhead(server: Server, suite: Path, scale: Scale, steps: Steps) -> list[Figure]:
    suite.mkdir(parents=True)
    for number in range(50):
        (suite / f"test_{number:02}.py").write_text(
            f"import pytest\n\n\n@pytest.mark.parametrize('n', range({scale.tiny_tests // 50}))\n"
            "def test_tiny(n):\n    assert n >= 0\n"
        )
    commands = {"plain": _PYTEST, "reported": [*_PYTEST, "--tms"]}
    took: dict[str, list[float]] = {name: [] for name in commands}
    used: dict[str, list[float]] = {name: [] for name in commands}
    for number in range(1, 8 * scale.rounds + 1):
        with steps.step(f"{scale.tiny_tests:,} tiny tests, plain and reported, round {number}"):
            for name, command in commands.items():
                before = _cpu_of_children()
                took[name].append(_run([command], suite, server))
                used[name].append(_cpu_of_children() - before)
    tests = f"{scale.tiny_tests:,} tiny tests"
    return [
        figure(
            f"pytest --tms, {tests}, by plain pytest",
            min(took["reported"]),
            "s",
            floor=min(took["plain"]),
            at_most=1.05,
        ),
        figure(f"CPU of pytest --tms, {tests}, by plain pytest", min(used["reported"]), "s", floor=min(used["plain"])),
    ]


def _cpu_of_children() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _run(commands: Sequence[Sequence[str]], suite: Path, server: Server) -> float:
    """Run commands side by side; how many seconds until the last has ended.

    Raises:
        RunFailed: one of them did not exit with 0.
    """
    address = server.address
    variables = {"TMS_URL": f"http://{address.host}:{address.port}", "TMS_TOKEN": address.token}
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("TMS_", "PYTHON"))}
    began = time.monotonic()
    processes = [
        subprocess.Popen(  # noqa: S603 - commands of this module
            command, cwd=suite, env=clean | variables, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        for command in commands
    ]
    outputs = [process.communicate()[0] for process in processes]
    took = time.monotonic() - began
    for command, process, output in zip(commands, processes, outputs, strict=True):
        if process.returncode != 0:
            raise RunFailed(f"{' '.join(command)}: {process.returncode}\n{output[-2000:]}")
    return took
