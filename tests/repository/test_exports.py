"""The public names, pinned: adding or removing one is a decision, not an accident."""

from __future__ import annotations

import ast
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

import flyte

NAMES = """
AMD_GPU APPLE_SILICON AsyncFunctionTaskTemplate Backoff BaseCheckpoint Cache CachePolicy CacheRequest Checkpoint
ConditionWebhook Cron Device DeviceClass Documentation Environment FixedRate GPU HABANA_GAUDI Image Link Neuron
PodTemplate Resources RetryStrategy ReusePolicy Secret SecretRequest TPU TaskEnvironment TaskTemplate Timeout
TimeoutType Trigger TriggerTime __version__ ctx custom_context get_custom_context group init init_from_config logger map
ImageBuild build build_images current_domain current_project deploy init_from_api_key init_in_cluster init_passthrough
new_condition rerun resume run system_logger trace version with_runcontext
""".split()


def test_the_public_names_are_these() -> None:
    assert sorted(flyte.__all__) == sorted(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_a_public_name_is_there_and_stays_bound(name: str) -> None:
    assert getattr(flyte, name) is getattr(flyte, name)
    assert name in dir(flyte)


def test_type_checkers_see_the_same_names() -> None:
    tree = ast.parse(Path(flyte.__file__).read_text())
    imports = [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    seen = {alias.asname or alias.name for node in imports for alias in node.names}
    assert set(NAMES) - {"version"} <= seen


def test_a_name_that_is_not_there_is_answered_with_a_near_one() -> None:
    with pytest.raises(AttributeError, match="'TaskEnviroment'. Did you mean TaskEnvironment"):
        _ = flyte.TaskEnviroment


@pytest.mark.parametrize(
    ("statement", "modules"),
    [
        ("import flyte", "asyncio sqlite3 google.protobuf pydantic rich click yaml flyte.models flyte._run"),
        ("import flyte; flyte.TaskEnvironment", "google.protobuf pydantic rich click yaml sqlite3 flyte._run"),
        ("import flyte.models", "google.protobuf pydantic rich click yaml sqlite3"),
    ],
)
def test_importing_stays_light(statement: str, modules: str) -> None:
    program = f"import sys\n{statement}\nprint(*sorted(set({modules.split()!r}) & set(sys.modules)))"
    output = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    assert output.split() == []


@pytest.mark.parametrize(
    ("package", "names"),
    [
        ("flyte.io", "PARQUET DataFrame Dir EmptyDir File HashFunction"),
        ("flyte.io.extend", "DataFrameDecoder DataFrameEncoder DataFrameTransformerEngine DuplicateHandlerError"),
        (
            "flyte.storage",
            "ABFS GCS S3 Local Storage exists exists_sync get get_configured_fsspec_kwargs get_random_local_directory "
            "get_random_local_path get_stream get_underlying_filesystem is_remote join open put put_stream",
        ),
    ],
)
def test_the_packages_for_data_have_these_names(package: str, names: str) -> None:
    module = import_module(package)
    assert sorted(module.__all__) == sorted(names.split())
    assert all(getattr(module, name) is not None for name in names.split())


@pytest.mark.parametrize("statement", ["import flyte.io", "import flyte.storage", "from flyte.io import File"])
def test_data_loads_no_library_before_it_is_read_or_written(statement: str) -> None:
    heavy = "pandas polars pyarrow numpy torch fsspec obstore boto3"
    program = f"import sys\n{statement}\nprint(*sorted(set({heavy.split()!r}) & set(sys.modules)))"
    output = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    assert output.split() == []
