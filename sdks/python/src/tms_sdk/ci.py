"""What is tested, and who asked: branch, commit, build and person, from the CI system or from git."""

import shutil
import subprocess
from collections.abc import Callable, Mapping

from tms_sdk.records import clean

# The first variable that is set wins. A pull request's own branch goes before the merge commit's name.
_VARIABLES = {
    "branch": (
        "GITHUB_HEAD_REF",
        "GITHUB_REF_NAME",
        "CI_MERGE_REQUEST_SOURCE_BRANCH_NAME",
        "CI_COMMIT_REF_NAME",
        "BUILDKITE_BRANCH",
        "CIRCLE_BRANCH",
        "BITBUCKET_BRANCH",
        "SYSTEM_PULLREQUEST_SOURCEBRANCH",
        "BUILD_SOURCEBRANCHNAME",
        "CHANGE_BRANCH",
        "BRANCH_NAME",
        "GIT_BRANCH",
    ),
    "commit": (
        "GITHUB_SHA",
        "CI_COMMIT_SHA",
        "BUILDKITE_COMMIT",
        "CIRCLE_SHA1",
        "BITBUCKET_COMMIT",
        "BUILD_SOURCEVERSION",
        "GIT_COMMIT",
    ),
    "buildNumber": (
        "GITHUB_RUN_NUMBER",
        "CI_PIPELINE_IID",
        "BUILDKITE_BUILD_NUMBER",
        "CIRCLE_BUILD_NUM",
        "BITBUCKET_BUILD_NUMBER",
        "BUILD_BUILDNUMBER",
        "BUILD_NUMBER",
    ),
    "triggeredBy": (
        "GITHUB_ACTOR",
        "GITLAB_USER_LOGIN",
        "BUILDKITE_BUILD_CREATOR",
        "CIRCLE_USERNAME",
        "BUILD_REQUESTEDFOR",
        "BUILD_USER",
    ),
}

_GIT = {
    "branch": ("symbolic-ref", "--short", "--quiet", "HEAD"),
    "commit": ("rev-parse", "--quiet", "--verify", "HEAD"),
}


def metadata(environ: Mapping[str, str], git: Callable[..., str | None]) -> dict[str, str]:
    """Return what is known of `branch`, `commit`, `buildNumber` and `triggeredBy`.

    `git` runs a git command in the folder of the tests, and returns what it printed, or None.
    """
    found = {}
    for name, variables in _VARIABLES.items():
        value = next((environ[variable] for variable in variables if environ.get(variable)), None)
        if value is None and name in _GIT:
            value = git(*_GIT[name])
        if value:
            found[name] = clean(value)
    return found


def git_output(*arguments: str) -> str | None:
    """Return what git prints in the current folder; None without git, without a repository, or without an answer."""
    git = shutil.which("git")
    if git is None:
        return None
    done = subprocess.run(  # noqa: S603 - git, with arguments of our own
        [git, *arguments], capture_output=True, text=True, errors="surrogateescape", check=False
    )
    return done.stdout.strip() or None if done.returncode == 0 else None
