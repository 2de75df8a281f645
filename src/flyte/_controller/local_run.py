"""What a local run is and where its files are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from flyte._store.data_holders import RAW_FOLDER
from flyte._store.records import Owner
from flyte.models import CodeBundle, RawDataPath
from flyte.storage._settings import Storage

RUNS_FOLDER = "runs"


def run_folder(home: Path, run_name: str) -> Path:
    """The folder of a run: payloads too large for the database, raw data, and what its tasks write."""
    return home / RUNS_FOLDER / run_name


def payload_path(run_name: str, action_name: str, file_name: str) -> str:
    """Where a payload of an action is kept, relative to the home folder."""
    return f"{RUNS_FOLDER}/{run_name}/{action_name}/{file_name}"


@dataclass(frozen=True, slots=True)
class LocalRunSpec:
    """The settings of one local run, known before its first action.

    Attributes:
        run_base_dir: Parent of the folders its actions write to.
        raw_data_path: Prefix of offloaded data.
        storage: How stores are reached; None is what the environment says.
        isolated: Each attempt runs in a process with the software of its image.
        image_refs: Images of the configuration, by name.
        code_bundle: The code that the run was started with, where it is kept.
    """

    run_id: int
    name: str
    home: Path
    owner: Owner
    start_time: datetime
    run_base_dir: str
    raw_data_path: RawDataPath
    project: str | None = None
    domain: str | None = None
    org: str | None = None
    custom_context: Mapping[str, str] = field(default_factory=dict)
    use_cache: bool = True
    overwrite_cache: bool = False
    storage: Storage | None = None
    isolated: bool = False
    image_refs: Mapping[str, str] = field(default_factory=dict)
    code_bundle: CodeBundle | None = None

    @property
    def has_chosen_raw_data_path(self) -> bool:
        """Whether data goes to a place that somebody chose, and not to the run's own folder."""
        return self.raw_data_path.path != str(run_folder(self.home, self.name) / RAW_FOLDER)
