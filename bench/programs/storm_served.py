"""`storm_served.py ENDPOINT N EFFECTS`: run `storm` on a control plane, with about N actions of every kind.

Prints `running` when the run is there, and `succeeded` when it is over and `root` returned the right sum. It lives
while the control plane is killed and started again.
"""

from __future__ import annotations

import sys
from pathlib import Path

import storm

import flyte

if __name__ == "__main__":
    endpoint, actions, effects = sys.argv[1:4]
    branches = int(actions) // storm.ACTIONS_PER_BRANCH
    flyte.init(
        endpoint=endpoint,
        insecure=True,
        project="flytesnacks",
        domain="development",
        root_dir=Path(__file__).parent,
    )
    variables = {"STORM_EFFECTS": effects, "STORM_LIFE": "0"}
    run = flyte.with_runcontext(mode="remote", name="storm", env_vars=variables).run(storm.root, branches)
    print("running", flush=True)
    run.wait(quiet=True)
    assert run.outputs().o0 == 7 * sum(range(branches)), run.outputs().o0
    print("succeeded")
