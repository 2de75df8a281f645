"""The plan of a code bundle, as tables or a JSON document."""

from __future__ import annotations

import io
import os
from pathlib import Path
from typing import Any

from flyte._atomic import write_atomically
from flyte._authoring.environment import Environment
from flyte._bundle.building import check_plan
from flyte._bundle.module_loading import package_root
from flyte._bundle.packing import Packed, pack, read_whole
from flyte._bundle.plans import BundlePlan
from flyte._bundle.selection import plan_bundle
from flyte.cli._cache_views import show_size
from flyte.cli._discovery import load_module
from flyte.cli._documents import Column, print_document, print_table
from flyte.cli._errors import CommandError
from flyte.cli._invocation import OutputFormat
from flyte.cli._moments import show_count
from flyte.cli._terminal import note
from flyte.errors import CodeBundleError


def show_bundle(source: Path, copy_style: str, root: Path | None, archive: Path | None, output: OutputFormat) -> None:
    """The plan is shown, also of a bundle that would be refused; then the archive is written, if one is asked for.

    Raises:
        CommandError: the file cannot be imported, or the archive not be written.
        CodeBundleError: there would be no such bundle.
    """
    plan = _planned(source, copy_style, root)
    content = io.BytesIO()
    packed: Packed | None = None
    refusal: CodeBundleError | None = None
    try:
        check_plan(plan)
        packed = pack(plan, content, read_whole)
    except CodeBundleError as error:
        refusal = error
    if output.is_document:
        print_document(_document(plan, packed), output)
    else:
        _print_tables(plan, output)
    if refusal is not None:
        raise refusal
    assert packed is not None
    note(
        f"{show_count(len(plan.files), 'file')} of {plan.root}, {show_size(plan.total_bytes)}, packed "
        f"{show_size(packed.size_bytes)}, version {packed.version}."
    )
    if archive is not None:
        _write(archive, packed.name, content.getvalue())


def _planned(source: Path, copy_style: str, root: Path | None) -> BundlePlan:
    if source.is_dir():
        return plan_bundle(root or source, copy_style=copy_style)
    if source.suffix != ".py":
        raise CommandError(f"{source} is not a Python file: its name does not end in .py.")
    module = load_module(source, root)
    environments = [value for value in vars(module).values() if isinstance(value, Environment)]
    return plan_bundle(root or _default_root(source), copy_style=copy_style, environments=environments)


def _default_root(file: Path) -> Path:
    path = file.resolve()
    here = Path.cwd().resolve()
    return here if path.is_relative_to(here) else package_root(path.parent)


def _print_tables(plan: BundlePlan, output: OutputFormat) -> None:
    if plan.files:
        columns = [Column("File", is_kept_whole=True), Column("Size", is_number=True), Column("Why")]
        print_table(
            columns, [[_shown(file.relative), show_size(file.size_bytes), file.reason] for file in plan.files], output
        )
    if plan.skipped:
        columns = [Column("Left out", is_kept_whole=True), Column("Why")]
        print_table(columns, [[_shown(each.relative), _shown(each.rule)] for each in plan.skipped], output)


def _document(plan: BundlePlan, packed: Packed | None) -> dict[str, Any]:
    files = [{"path": _text(file.relative), "size_bytes": file.size_bytes, "why": file.reason} for file in plan.files]
    return {
        "root": str(plan.root),
        "copy_style": plan.copy_style,
        "size_bytes": plan.total_bytes,
        "version": packed.version if packed else None,
        "name": packed.name if packed else None,
        "packed_bytes": packed.size_bytes if packed else None,
        "files": files,
        "left_out": [{"path": _text(each.relative), "why": _text(each.rule)} for each in plan.skipped],
    }


def _shown(name: str) -> str:
    """A name on one line, whatever is in it."""
    return "".join(each if each.isprintable() else ascii(each)[1:-1] for each in _text(name))


def _text(name: str) -> str:
    """A name that can be written as UTF-8; names of files may be any bytes."""
    return os.fsencode(name).decode("utf-8", "backslashreplace")


def _write(target: Path, name: str, content: bytes) -> None:
    path = target / name if target.is_dir() else target
    try:
        write_atomically(path.absolute(), content)
    except OSError as error:
        raise CommandError(f"{path} cannot be written: {error.strerror}.") from None
    note(f"Written to {path}.")
