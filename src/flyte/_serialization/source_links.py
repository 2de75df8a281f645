"""Where people see the code of a task: its line on the page of a git host."""

from __future__ import annotations

import os
import subprocess
from urllib.parse import quote

_PATHS = {"github.com": "blob", "gitlab.com": "-/blob"}
"""What stands between the address of a repository and a commit, by host."""
_COMMIT = "# branch.oid "
_NO_COMMIT = "(initial)"
_TIME_LIMIT_S = 5


def link_to_source(file: str, line: int) -> str | None:
    """The address of a line of a file, at the commit that is checked out.

    None where there is no such page: the file is not in a repository, git is not installed, or the remote is on a host
    that is not known. The line is left out when the file has been changed since the commit.
    """
    file = os.path.realpath(file)
    folder = os.path.dirname(file)
    path = (_git(folder, "ls-files", "-z", "--full-name", "--", file) or "").rstrip("\0")
    if not path:
        return None
    remote = _repository_page(_remote(folder))
    # The commit, the branch, and the file if it has changed: a line each.
    state = _git(folder, "status", "--porcelain=v2", "--branch", "--untracked-files=no", "--", file)
    lines = (state or "").splitlines()
    commits = [each.removeprefix(_COMMIT) for each in lines if each.startswith(_COMMIT)]
    if remote is None or not commits or commits == [_NO_COMMIT]:
        return None
    host, page = remote
    link = f"{page}/{_PATHS[host]}/{commits[0]}/{quote(path)}"
    is_changed = any(not each.startswith("#") for each in lines)
    return link if is_changed else f"{link}#L{line}"


def _remote(folder: str) -> str:
    origin = _git(folder, "remote", "get-url", "--push", "origin")
    if origin is not None:
        return origin
    names = (_git(folder, "remote") or "").split()
    return _git(folder, "remote", "get-url", "--push", min(names)) or "" if names else ""


def _repository_page(remote: str) -> tuple[str, str] | None:
    """The host of a remote and the address of its repository there; never with the user or password of the remote."""
    scheme, separator, rest = remote.partition("://")
    if not separator:
        # git@github.com:owner/name.git
        rest = remote.replace(":", "/", 1)
    elif scheme not in ("https", "http", "ssh", "git"):
        return None
    authority, _, path = rest.partition("/")
    host = authority.rpartition("@")[2].partition(":")[0].lower()
    path = path.strip("/").removesuffix(".git")
    return (host, f"https://{host}/{path}") if host in _PATHS and path else None


def _git(folder: str, *arguments: str) -> str | None:
    """What git prints; None when it fails."""
    try:
        done = subprocess.run(
            ["git", "-C", folder, *arguments],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=_TIME_LIMIT_S,
            check=False,
        )
    except (OSError, ValueError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None
