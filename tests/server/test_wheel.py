"""What a wheel of the server has in it."""

import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

from tests.running import ROOT


def built(source: Path, target: Path) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(target)]
    return subprocess.run(command, cwd=source, capture_output=True, text=True, check=False)


def test_a_wheel_brings_the_dashboard_and_the_migrations(tmp_path: Path) -> None:
    done = built(ROOT, tmp_path)
    assert done.returncode == 0, done.stderr
    (wheel,) = tmp_path.glob("*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    assert "gateway/dashboard/index.html" in names
    assert any(name.startswith("gateway/dashboard/") and name.endswith(".js") for name in names)
    assert any(name.startswith("storage/migrations/versions/0001") for name in names)
    assert not any(name.startswith(("tests/", "benchmarks/", "dashboards/")) for name in names)


def test_without_the_dashboard_no_wheel_is_built(tmp_path: Path) -> None:
    for name in ("pyproject.toml", "README.md", "LICENSE", "hatch_build.py"):
        shutil.copy(ROOT / name, tmp_path)
    done = built(tmp_path, tmp_path / "dist")
    assert done.returncode != 0
    assert "run `make wheel`" in done.stderr
    assert not list(tmp_path.rglob("*.whl"))
