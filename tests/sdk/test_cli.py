"""The command `tms` and the package as a whole."""

import ast
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import tms_sdk
from tests.sdk.conftest import Tms
from tms_sdk.ci import metadata
from tms_sdk.cli import main

SDK = Path(tms_sdk.__file__).parent


def test_help_teaches_each_command_with_examples(capsys: pytest.CaptureFixture[str]) -> None:
    for command in ([], ["run"], ["create"], ["send"], ["watch"], ["upload"], ["gate"]):
        with pytest.raises(SystemExit) as ended:
            main([*command, "--help"])
        assert ended.value.code == 0
        text = capsys.readouterr().out
        assert "TMS_TOKEN" in text
        assert f"tms {' '.join(command)}".strip() in text
        if command:
            assert "examples:" in text
            assert "exit codes" in text
        assert all(len(line) <= 120 for line in text.splitlines())


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["no-such-command"],
        ["run"],
        ["run", "--shards", "0", "--", "pytest"],
        ["run", "--shards", "four", "--", "pytest"],
        ["run", "--suite", "nightly", "--", "pytest"],
        ["run", "pytest"],
        ["run", "--token", "x", "--", "there-is-no-such-command"],
        ["run", "--token", "x", "--url", "ftp://x", "--", "pytest"],
        ["run", "--token", "", "--", "pytest"],
        ["watch"],
        ["watch", "--token", "", "exec_1"],
        ["upload"],
        ["upload", "missing.xml"],
        ["gate"],
        ["gate", "--token", "", "exec_1"],
    ],
)
def test_wrong_usage_ends_with_4_and_a_word(tms: Tms, arguments: list[str]) -> None:
    done = tms(*arguments)
    assert done.returncode == 4, done.stdout + done.stderr
    assert done.stderr
    assert "Traceback" not in done.stderr


def test_the_public_names_are_these() -> None:
    assert sorted(tms_sdk.__all__) == [
        "ApiError",
        "ReportError",
        "ReportsRejected",
        "Retry",
        "TMSClient",
        "TMSError",
        "Unreachable",
        "UsageError",
        "__version__",
    ]
    for name in tms_sdk.__all__:
        assert getattr(tms_sdk, name) is not None
    with pytest.raises(AttributeError, match="no_such_name"):
        tms_sdk.no_such_name  # noqa: B018 - reading it is the test


def loaded_by(module: str) -> set[str]:
    """Return the top modules that importing a module loads."""
    code = f"import sys, {module}; print(*sorted({{name.partition('.')[0] for name in sys.modules}}))"
    return set(subprocess.check_output([sys.executable, "-c", code], text=True).split())


def test_the_command_loads_neither_pytest_nor_the_server() -> None:
    loaded = loaded_by("tms_sdk.cli")
    assert "httpx" in loaded
    assert loaded.isdisjoint({"pytest", "_pytest", "ray", "orchestrator", "storage", "actors", "gateway", "server"})


def test_the_plugin_loads_no_http_client_into_the_process_under_test() -> None:
    loaded = loaded_by("tms_sdk.pytest_node")
    assert "pytest" in loaded
    assert loaded.isdisjoint({"httpx", "websockets", "rich"})


def test_without_its_option_the_plugin_loads_nothing_of_ours_but_itself() -> None:
    code = "import sys, tms_sdk.pytest_plugin; print(*(name for name in sys.modules if name.startswith('tms_sdk')))"
    loaded = subprocess.check_output([sys.executable, "-c", code], text=True).split()
    assert sorted(loaded) == ["tms_sdk", "tms_sdk.pytest_plugin"]


def test_what_it_imports_is_what_it_depends_on() -> None:
    imported = set()
    for file in SDK.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                imported |= {name.name.partition(".")[0] for name in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module:
                imported.add(node.module.partition(".")[0])
    project = tomllib.loads((SDK.parents[1] / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    declared = {name.partition(">")[0] for name in project["dependencies"]}
    assert imported - set(sys.stdlib_module_names) - {"tms_sdk", "pytest"} == declared


def test_branch_and_commit_come_from_ci_else_from_git() -> None:
    def git(*arguments: str) -> str | None:
        return {"rev-parse": "feed", "symbolic-ref": None}[arguments[0]]

    assert metadata({}, git) == {"commit": "feed"}
    assert metadata({"GITHUB_HEAD_REF": "", "GITHUB_REF_NAME": "main", "GITHUB_SHA": "abc"}, git) == {
        "branch": "main",
        "commit": "abc",
    }
    jenkins = {"GIT_BRANCH": "origin/x", "GIT_COMMIT": "abc", "BUILD_NUMBER": "7"}
    assert metadata(jenkins, git) == {"branch": "origin/x", "commit": "abc", "buildNumber": "7"}
