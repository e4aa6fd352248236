"""What plain pytest says of a suite, and what a server has of it, in the same words: those of JUnit reports."""

import os
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

PYTEST = (sys.executable, "-m", "pytest")

Told = Counter[tuple[str, str, str]]
"""How often each (class name, name, outcome) is told."""


def plain(folder: Path, *arguments: str) -> tuple[int, Told]:
    """Run plain pytest; return its exit code and what its JUnit report tells."""
    report = folder / "plain.xml"
    environ = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
    done = subprocess.run(
        [*PYTEST, *arguments, f"--junitxml={report}", "-p", "no:cacheprovider"],
        cwd=folder,
        env=environ,
        capture_output=True,
        timeout=300,
        check=False,
    )
    told: dict[tuple[str, str, int], str] = {}
    times: Counter[tuple[str, str]] = Counter()
    for case in ET.parse(report).iter("testcase"):  # noqa: S314 - pytest's own report
        name = case.get("classname", ""), case.get("name", "")
        kinds = {child.tag for child in case}
        outcome = "failed" if kinds & {"failure", "error"} else "skipped" if "skipped" in kinds else "passed"
        error = case.find("error")
        if error is not None and error.get("message", "").startswith("failed on teardown") and times[name]:
            # pytest tells a test that failed and whose teardown failed too in two elements.
            told[*name, times[name]] = "failed"
            continue
        times[name] += 1
        told[*name, times[name]] = outcome
    return done.returncode, Counter((*name[:2], outcome) for name, outcome in told.items())


def reported(tests: list[dict[str, Any]]) -> Told:
    """Count what the server has, each test named as JUnit reports name it."""
    return Counter((*junit_name(test["file"], test["title"]), test["status"]) for test in tests)


def junit_name(file: str, title: str) -> tuple[str, str]:
    module = file.removesuffix(".py").replace("/", ".")
    if title == file:
        return "", module
    base, bracket, params = title.partition("[")
    *classes, name = base.split("::")
    return ".".join([module, *classes]), name + bracket + params
