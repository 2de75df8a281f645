"""How large a bundle may be: it is for code, and travels to every machine that runs a task."""

from __future__ import annotations

import os
from dataclasses import dataclass

from flyte._bundle.plans import BundlePlan
from flyte.errors import CodeBundleError

MAX_FILE_VARIABLE = "FLYTE_BUNDLE_MAX_FILE_MIB"
MAX_VARIABLE = "FLYTE_BUNDLE_MAX_MIB"
MAX_UNPACKED_VARIABLE = "FLYTE_BUNDLE_MAX_UNPACKED_MIB"

_DEFAULTS_MIB = {MAX_FILE_VARIABLE: 10, MAX_VARIABLE: 200, MAX_UNPACKED_VARIABLE: 4096}
_SHOWN = 5


def limit_bytes(variable: str) -> int:
    """The limit that a variable sets, or its default.

    Raises:
        CodeBundleError: it is no positive number.
    """
    text = os.environ.get(variable, "").strip()
    try:
        mib = float(text) if text else float(_DEFAULTS_MIB[variable])
    except ValueError:
        mib = 0.0
    if not 0 < mib < float("inf"):
        raise CodeBundleError(f"{variable} is {text!r}: expected a number of MiB above 0, such as 50.")
    return int(mib * (1 << 20))


@dataclass(frozen=True, slots=True)
class SizeLimits:
    """The limits in force.

    Attributes:
        file_bytes: Of one file; data is what is larger.
        total_bytes: Of all files together, before they are packed.
    """

    file_bytes: int
    total_bytes: int

    @classmethod
    def from_environment(cls) -> SizeLimits:
        """Those that the environment variables set.

        Raises:
            CodeBundleError: one is no positive number.
        """
        return cls(limit_bytes(MAX_FILE_VARIABLE), limit_bytes(MAX_VARIABLE))

    def check(self, plan: BundlePlan) -> None:
        """Nothing, when the plan is within the limits.

        Raises:
            CodeBundleError: it is not; the message names the largest files.
        """
        large = sorted((file for file in plan.files if file.size_bytes > self.file_bytes), key=lambda f: -f.size_bytes)
        if large:
            names = ", ".join(f"{file.path} ({mib(file.size_bytes)}, {file.reason})" for file in large[:_SHOWN])
            more = f" and {len(large) - _SHOWN} more" if len(large) > _SHOWN else ""
            raise CodeBundleError(
                f"too large for a code bundle, where a file may have {mib(self.file_bytes)}: {names}{more}. Pass data "
                f"to tasks as flyte.io.File, and leave it out of the bundle with a line such as "
                f"'/{large[0].relative}' in {plan.root}/.flyteignore; or set {MAX_FILE_VARIABLE} to allow more."
            )
        if plan.total_bytes > self.total_bytes:
            largest = sorted(plan.files, key=lambda file: -file.size_bytes)[:_SHOWN]
            names = ", ".join(f"{file.relative} ({mib(file.size_bytes)})" for file in largest)
            raise CodeBundleError(
                f"the {len(plan.files):,} files of {plan.root} are {mib(plan.total_bytes)} together, and a code bundle "
                f"may have {mib(self.total_bytes)}. The largest are {names}. Leave out what is not code with a "
                f".flyteignore file there, or set {MAX_VARIABLE} to allow more."
            )


def mib(size_bytes: int) -> str:
    """A size in MiB, for messages."""
    return f"{size_bytes / (1 << 20):,.1f} MiB"
