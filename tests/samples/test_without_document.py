"""A machine without the document is told so."""

import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent


def test_what_is_not_run_is_said_loudly(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "pytest", str(HERE), "--spec", str(tmp_path / "none.md")]
    done = subprocess.run(command, cwd=HERE.parent.parent, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 5, done.stdout + done.stderr
    assert "NOT RUN: the samples of the integration document" in done.stdout
    assert "6 tests need the document" in done.stdout
