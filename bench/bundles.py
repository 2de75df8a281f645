"""What a code bundle of 1,000 files costs: to choose and pack, when nothing has changed, to unpack; ours only."""

from __future__ import annotations

import json

from _harness import Figure, bench

FILES = 1_000

ROWS = (
    ("all", "all: choose, hash and pack", 0.5),
    ("all again", "all: nothing has changed", 0.1),
    ("loaded_modules", "loaded_modules: choose, hash and pack", 0.5),
    ("loaded_modules again", "loaded_modules: nothing has changed", 0.1),
    ("unpack", "check and unpack", None),
    ("unpacked", "it is unpacked already", None),
)


def main() -> None:
    with bench("bundles", __doc__ or "", runs=11) as session:
        folder = session.folder / "bundled"
        output = session.output_of(session.ours.python, "bundled.py", str(folder), str(FILES), str(session.runs + 1))
        seconds = json.loads(output)
        for name, what, at_most in ROWS:
            # The first round imports what packs.
            session.figures.append(Figure(f"{FILES:,} files, {what}", "s", seconds[name][1:], at_most=at_most))


if __name__ == "__main__":
    main()
