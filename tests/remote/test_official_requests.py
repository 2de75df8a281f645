"""What our client sends for a program differs from what the official one sends only on purpose.

The official release is asked where `FLYTE_OFFICIAL_PYTHON` names an interpreter that has it.
"""

from __future__ import annotations

import copy
import os
import sys
from pathlib import Path
from typing import Any

import pytest

from conformance import client_requests as requests
from conformance.serialization import report

official = pytest.mark.skipif("FLYTE_OFFICIAL_PYTHON" not in os.environ, reason="FLYTE_OFFICIAL_PYTHON is not set")


@pytest.fixture(scope="module")
def ours(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Our requests, by name."""
    return requests.recorded_by(sys.executable, tmp_path_factory.mktemp("requests") / "ours")


def test_the_program_uses_every_part_of_the_client(ours: dict[str, Any]) -> None:
    assert {name.split()[0] for name in ours} == {
        *("AbortAction", "AbortRun", "CreateProject", "CreateRun", "CreateSecret", "CreateUploadLocation"),
        *("DeleteSecret", "DeleteTriggers", "DeployTask", "DeployTrigger", "GetActionData", "GetActionDetails"),
        *("GetProject", "GetRunDetails", "GetSecret", "GetTaskDetails", "GetTriggerDetails", "ListActions"),
        *("ListProjects", "ListRuns", "ListSecrets", "ListTasks", "ListTriggers", "SelectCluster", "TailLogs"),
        *("UpdateTriggers", "UploadInputs", "UserInfo"),
    }


def test_a_field_that_differs_is_found(ours: dict[str, Any]) -> None:
    changed = copy.deepcopy(ours)
    changed["AbortRun 1"]["reason"] = "another"
    comparison = requests.compare(ours, changed)
    assert [(each.task, each.field) for each in comparison.unexpected] == [("AbortRun 1", "reason")]


@official
def test_our_requests_are_those_of_the_official_client(ours: dict[str, Any], tmp_path: Path) -> None:
    theirs = requests.recorded_by(os.environ["FLYTE_OFFICIAL_PYTHON"], tmp_path / "official")
    comparison = requests.compare(ours, theirs)
    assert "\n".join(report(comparison, "requests")).endswith("0 fields differ otherwise.")
    assert comparison.unused == ()
