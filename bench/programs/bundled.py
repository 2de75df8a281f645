"""Seconds to plan, pack and unpack a bundle of so many files, as JSON: the first time, and when nothing has changed."""

from __future__ import annotations

import json
import os
import shutil
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

from flyte._bundle.building import bundles_folder, keep_bundle
from flyte._bundle.inflating import inflate
from flyte._bundle.selection import plan_bundle
from flyte.models import CodeBundle

SOURCE = Path(plan_bundle.__code__.co_filename).read_text("utf-8")


def written(root: Path, count: int) -> dict[str, ModuleType]:
    """A project of so many files in folders of fifty, and its modules as if all were imported."""
    modules = {}
    for number in range(count):
        path = root / f"pkg{number // 50}" / f"module{number}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"NUMBER = {number}\n{SOURCE}", "utf-8")
        name = f"pkg{number // 50}.module{number}"
        modules[name] = ModuleType(name)
        modules[name].__file__ = str(path)
    return modules


def seconds(call: Callable[[], object]) -> float:
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def main(folder: Path, count: int, rounds: int) -> None:
    modules = written(folder / "project", count)
    figures: dict[str, list[float]] = {name: [] for name in ("all", "loaded_modules", "unpack", "unpacked")}
    figures |= {f"{style} again": [] for style in ("all", "loaded_modules")}
    for _ in range(rounds):
        shutil.rmtree(bundles_folder(), ignore_errors=True)
        for style in ("all", "loaded_modules"):

            def keep(style: str = style) -> object:
                return keep_bundle(plan_bundle(folder / "project", copy_style=style, modules=modules))

            shutil.rmtree(bundles_folder(), ignore_errors=True)
            while not figures[style] and (time.time() - newest(folder / "project") < 0.2):
                pass  # What was written in the last instant is never taken as known.
            figures[style].append(seconds(keep))
            figures[f"{style} again"].append(seconds(keep))
        kept = keep_bundle(plan_bundle(folder / "project", copy_style="all"))
        bundle = CodeBundle(computed_version=kept.version, tgz=str(kept.path))
        shutil.rmtree(folder / "code", ignore_errors=True)

        def unpack(bundle: CodeBundle = bundle) -> object:
            return inflate(bundle, folder / "code")

        for name in ("unpack", "unpacked"):
            figures[name].append(seconds(unpack))
    shutil.rmtree(folder)
    print(json.dumps(figures))


def newest(root: Path) -> float:
    """When the last file of a project was written."""
    return max(os.stat(path).st_ctime for path in root.rglob("*.py"))


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
