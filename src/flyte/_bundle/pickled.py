"""A task as one pickle, for notebooks and interactive sessions, whose code is in no file.

What is imported from files below the root is pickled with the task; what is installed is only named, and has to be
installed where the task runs.
"""

from __future__ import annotations

import os
import pickle
import sys
import zlib
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import IO, TYPE_CHECKING, Any

from flyte._bundle.building import keep_bytes, store_kept
from flyte._bundle.fetching import fetch_bundle
from flyte._bundle.including import inclusions_of
from flyte._bundle.limits import MAX_UNPACKED_VARIABLE, MAX_VARIABLE, limit_bytes, mib
from flyte._bundle.loaded_modules import loaded_files
from flyte.errors import CodeBundleError
from flyte.models import CodeBundle

if TYPE_CHECKING:
    from flyte._authoring.task import TaskTemplate

NAME = "code_bundle.pkl.gz"
_GZIP_WBITS = 31


def build_pickled_bundle(
    task: TaskTemplate[Any, Any, Any], root: Path | str | None = None, *, to: str | None = None
) -> CodeBundle:
    """The pickle of a task is in the home folder or at an address, whole.

    Args:
        task: With the environment that it belongs to.
        root: What is imported from below it is pickled too; default the working directory.
        to: A folder or prefix such as `s3://bucket/code` to put it below.

    Raises:
        CodeBundleError: an environment of the task includes files, or something that it uses cannot be pickled.
        StorageError: it cannot be written.
    """
    _refuse_includes(task)
    # Many a notebook is in a home folder; of it, only what the task uses is taken.
    data = _pickled(task, os.path.realpath(root or "."))
    limit = limit_bytes(MAX_VARIABLE)
    if len(data) > limit:
        raise CodeBundleError(
            f"task {task.name!r} is {mib(len(data))} when it is pickled, and a code bundle may have {mib(limit)}: it "
            f"holds on to data, such as a variable of the notebook that it uses. Pass that as an input."
        )
    compressor = zlib.compressobj(wbits=_GZIP_WBITS)
    kept = keep_bytes(NAME, compressor.compress(data) + compressor.flush())
    address = str(kept.path) if to is None else store_kept(kept, to)
    return CodeBundle(computed_version=kept.version, pkl=address, destination=".")


def _refuse_includes(task: TaskTemplate[Any, Any, Any]) -> None:
    environment = task.parent_env() if task.parent_env is not None else None
    included = inclusions_of([environment]) if environment is not None else ()
    if included:
        raise CodeBundleError(
            f"{included[0].by} includes {included[0].path}, and task {task.name!r} is bundled as a pickle, which holds "
            f"no files: take include= away, or run the task from a file."
        )


def pickled_with_code(task: TaskTemplate[Any, Any, Any], modules: Collection[str]) -> bytes:
    """The pickle of a task, with its function where that is of one of these modules, or has no name in its own."""
    import io

    output = io.BytesIO()
    _pickler(output, modules).dump(task)
    return output.getvalue()


def _pickled(task: TaskTemplate[Any, Any, Any], root: str) -> bytes:
    with _pickled_by_value(root) as modules:
        try:
            return pickled_with_code(task, modules)
        except Exception as error:
            raise CodeBundleError(
                f"task {task.name!r} cannot be pickled: {type(error).__name__}: {error}. It uses something that lives "
                f"in this process only, such as an open file, a connection or a lock: make that inside the task."
            ) from error


def _pickler(output: IO[bytes], modules: Collection[str]) -> Any:
    """A pickler that takes tasks of these modules with their functions, not by their names."""
    import cloudpickle

    from flyte._authoring.function_task import AsyncFunctionTaskTemplate

    class TaskPickler(cloudpickle.Pickler):  # type: ignore[misc]
        def reducer_override(self, value: Any) -> Any:
            if isinstance(value, AsyncFunctionTaskTemplate) and value.func.__module__ in modules:
                return object.__reduce_ex__(value, pickle.HIGHEST_PROTOCOL)
            return super().reducer_override(value)

    return TaskPickler(output)


@contextmanager
def _pickled_by_value(root: str) -> Iterator[Collection[str]]:
    """Modules from below the root are pickled with what uses them, not only named; gives their names."""
    import cloudpickle

    names = {"__main__", *loaded_files(root).values()}
    registered = []
    try:
        for name in names - {"__main__", *cloudpickle.list_registry_pickle_by_value()}:
            cloudpickle.register_pickle_by_value(sys.modules[name])
            registered.append(sys.modules[name])
        yield names | cloudpickle.list_registry_pickle_by_value()
    finally:
        for module in registered:
            cloudpickle.unregister_pickle_by_value(module)


def load_pickled(bundle: CodeBundle, *, is_version_digest: bool = True) -> TaskTemplate[Any, Any, Any]:
    """The task in a pickled bundle. Loading runs code of the bundle: whoever can write it, can do anything here.

    Args:
        bundle: With `pkl`, the address of the pickle.
        is_version_digest: `computed_version` is the MD5 of the file, and the file is held against it.

    Raises:
        CodeBundleError: it is no pickled bundle, it is damaged, or what it names is not installed here.
        StorageError: it cannot be read.
    """
    if bundle.pkl is None:
        raise CodeBundleError(
            f"code bundle {bundle.computed_version!r} is an archive at {bundle.tgz}, not a pickled task: inflate() it."
        )
    with TemporaryDirectory(prefix="flyte-tmp-") as scratch:
        compressed = fetch_bundle(bundle, Path(scratch), is_version_digest=is_version_digest).read_bytes()
    return _loaded(_decompressed(compressed, bundle.pkl), bundle.pkl)


def _decompressed(compressed: bytes, address: str) -> bytes:
    limit = limit_bytes(MAX_UNPACKED_VARIABLE)
    decompressor = zlib.decompressobj(wbits=_GZIP_WBITS)
    try:
        data = decompressor.decompress(compressed, limit)
    except zlib.error as error:
        raise CodeBundleError(f"the code bundle {address} is damaged ({error}): bundle the task again.") from error
    if not decompressor.eof:
        raise CodeBundleError(
            f"the code bundle {address} is truncated, or more than {mib(limit)} large: bundle the task again, or set "
            f"{MAX_UNPACKED_VARIABLE} to allow more."
        )
    return data


def _loaded(data: bytes, address: str) -> TaskTemplate[Any, Any, Any]:
    import platform

    from flyte._authoring.task import TaskTemplate

    try:
        task = pickle.loads(data)
    except Exception as error:
        raise CodeBundleError(
            f"the task in the code bundle {address} cannot be loaded: {type(error).__name__}: {error}. It needs what "
            f"is installed where it was made, and Python of the same version; here it is {platform.python_version()}."
        ) from error
    if not isinstance(task, TaskTemplate):
        raise CodeBundleError(f"the code bundle {address} holds a {type(task).__name__}, and a task is due.")
    return task
