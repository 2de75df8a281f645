"""How long an environment with five pure-Python packages takes to make, and to find when it is there, ours only."""

from __future__ import annotations

import json
import os

from _harness import Figure, bench


def main() -> None:
    # Asked for here: the measured processes have a home of their own, and it is a warm cache that is measured.
    os.environ.setdefault("UV_CACHE_DIR", os.path.expanduser("~/.cache/uv"))
    with bench("images", __doc__ or "", runs=5) as session:
        home = session.folder / "home"

        def measure(*options: str) -> dict[str, float]:
            times: dict[str, float] = json.loads(
                session.output_of(session.ours.python, "environments.py", home, *options)
            )
            return times

        measure()  # Fetches the packages, where uv has not kept them.
        made = [measure("--force")["first_s"] for _ in range(session.runs)]
        found = [measure() for _ in range(session.runs)]
        session.figures += [
            Figure("make an environment with five packages, uv's cache warm", "s", made, at_most=3),
            Figure("find it in a fresh process", "ms", [each["first_s"] * 1e3 for each in found], at_most=50),
            Figure("find it again", "ms", [each["again_ms"] for each in found], at_most=5),
        ]


if __name__ == "__main__":
    main()
