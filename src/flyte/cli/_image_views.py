"""`flyte get image` and `flyte delete image`: the environments that were built on this machine."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from flyte._image.built import (
    BuiltImage,
    built_images,
    delete_built,
    find_built,
    in_use,
    is_of_another_flyte,
    remove_remains,
)
from flyte.cli._cache_views import show_size
from flyte.cli._documents import Column, print_details, print_document, print_table
from flyte.cli._invocation import OutputFormat
from flyte.cli._moments import show_count, show_duration, show_local
from flyte.cli._terminal import confirm_deletion, note
from flyte.config import home

_SHORT_KEY = 12


def show_images(output: OutputFormat) -> None:
    """The environments, newest first, as a table or a JSON list."""
    images = built_images(home())
    if output.is_document:
        busy = in_use(images)
        print_document([_document(each, busy) for each in images], output)
    elif images:
        columns = [
            Column("Key", is_kept_whole=True),
            Column("Name"),
            Column("Python"),
            Column("Layers", is_cut=True),
            Column("Size", is_number=True),
            Column("Age", is_number=True),
            Column("Used", is_number=True),
        ]
        print_table(columns, [_row(each) for each in images], output)
    else:
        note("No image was built on this machine: `flyte build FILE ENV_VARIABLE` builds one.")


def _row(image: BuiltImage) -> list[str]:
    record = image.record
    layers = ", ".join(record.layers)
    return [
        record.key[:_SHORT_KEY],
        record.name,
        record.python_version,
        layers,
        show_size(record.size_bytes),
        _ago(image.created_at),
        _ago(image.used_at),
    ]


def _ago(moment: datetime) -> str:
    return show_duration(max((datetime.now(UTC) - moment).total_seconds(), 0))


def _document(image: BuiltImage, busy: dict[str, list[int]]) -> dict[str, Any]:
    record = image.record
    environment = record.environment(home())
    return {
        "key": record.key,
        "uri": environment.uri,
        "name": record.name,
        "python_version": record.python_version,
        "flyte_version": record.flyte_version,
        "layers": list(record.layers),
        "python": str(environment.python),
        "working_dir": None if environment.working_dir is None else str(environment.working_dir),
        "size_bytes": record.size_bytes,
        "build_s": record.build_s,
        "created_at": image.created_at.isoformat(),
        "used_at": image.used_at.isoformat(),
        "processes": busy.get(record.key, []),
    }


def show_image(key: str, output: OutputFormat) -> None:
    """One environment.

    Raises:
        RuntimeUserError: there is none of that key.
    """
    image = find_built(home(), key)
    if output.is_document:
        print_document(_document(image, in_use([image])), output)
        return
    record = image.record
    environment = record.environment(home())
    print_details(
        [
            ("Key", record.key),
            ("Name", record.name),
            ("Address", environment.uri),
            ("Python", f"{record.python_version}, {environment.python}"),
            ("Flyte", record.flyte_version),
            ("Layers", ", ".join(record.layers)),
            ("Variables", ", ".join(record.env_vars)),
            ("Working folder", str(environment.working_dir or "")),
            ("Size", show_size(record.size_bytes)),
            ("Built", f"{show_local(image.created_at)}, in {show_duration(record.build_s)}"),
            ("Used", show_local(image.used_at)),
            ("In use by", ", ".join(map(str, in_use([image]).get(record.key, [])))),
        ]
    )


@dataclass(frozen=True, slots=True)
class ImageDeletion:
    """The options of `flyte delete image`."""

    keys: tuple[str, ...]
    is_unused: bool
    older_than: timedelta | None
    is_all: bool
    is_dry_run: bool
    is_confirmed: bool

    def select(self) -> list[BuiltImage]:
        """The environments that are meant; of those not named, none that is in use.

        Raises:
            RuntimeUserError: one that is named is not there.
        """
        if self.keys:
            return [find_built(home(), key) for key in dict.fromkeys(self.keys)]
        images = built_images(home())
        busy = in_use(images)
        return [each for each in images if each.record.key not in busy and self._selects(each)]

    def _selects(self, image: BuiltImage) -> bool:
        is_old = self.older_than is not None and datetime.now(UTC) - image.used_at > self.older_than
        return self.is_all or is_old or (self.is_unused and is_of_another_flyte(image))


def delete_images(deletion: ImageDeletion, output: OutputFormat) -> None:
    """The environments that the options select are gone, and it is said which.

    Raises:
        CommandError: it has to be confirmed, and nobody is there to ask.
        RuntimeUserError: one that is named is not there, or a process runs in it.
    """
    images = deletion.select()
    if images and not deletion.is_dry_run and not deletion.is_confirmed and not deletion.keys:
        total = show_count(len(images), "image")
        confirm_deletion(total, f"Delete {total}?")
    if not deletion.is_dry_run:
        for each in images:
            delete_built(home(), each)
        if not deletion.keys:
            remove_remains(home())
    keys = [each.record.key for each in images]
    if output.is_document:
        print_document({"images": keys, "is_dry_run": deletion.is_dry_run}, output)
    elif images:
        verb = "Would delete" if deletion.is_dry_run else "Deleted"
        print(f"{verb} {show_count(len(images), 'image')}: {', '.join(key[:_SHORT_KEY] for key in keys)}")
    else:
        note("No image is selected. Those that a process runs in are only deleted when it has ended.")
