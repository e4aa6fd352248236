"""What `--help` tells."""

import pytest

from orchestrator.config import describe
from tests.server.conftest import Orchestrator


def test_the_help_of_serve_lists_every_setting_with_its_default(orchestrator: Orchestrator) -> None:
    done = orchestrator("serve", "--help")
    assert done.returncode == 0
    for name, default, about in describe():
        assert f"{name} = {default}" if default else name in done.stdout
        assert about in done.stdout


@pytest.mark.parametrize("name", ["serve", "migrate", "demo", "token create", "token list", "token revoke"])
def test_every_command_shows_an_example_and_the_settings_it_reads(orchestrator: Orchestrator, name: str) -> None:
    done = orchestrator(*name.split(), "--help")
    assert (done.returncode, done.stderr) == (0, "")
    examples, settings = done.stdout.split("Examples:")[1].split("Settings, from the environment:")
    assert name in examples
    assert "TMS_DATA_DIR = .tms" in settings


def test_a_command_alone_lists_the_commands(orchestrator: Orchestrator) -> None:
    done = orchestrator()
    assert all(name in done.stdout for name in ("serve", "migrate", "demo", "token"))
