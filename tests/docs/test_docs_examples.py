"""Every Python example of the README and the documentation runs, and prints what the page says it prints."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("**/*.md"))]
PYTHON_BLOCK = re.compile(
    r"^```python\n(?P<code>.*?)^```$(?:\n+^```text\n(?P<printed>.*?)^```$)?", re.DOTALL | re.MULTILINE
)


@dataclass(frozen=True)
class Example:
    """A ```python block, and the ```text block that follows it with nothing but blank lines between, if one does."""

    place: str
    code: str
    printed: str | None


def examples_of(text: str, page: str) -> list[Example]:
    """The examples of one page, each placed by the line that its code starts on."""
    return [
        Example(f"{page}:{text.count(chr(10), 0, match.start('code')) + 1}", match["code"], match["printed"])
        for match in PYTHON_BLOCK.finditer(text)
    ]


EXAMPLES = [example for page in PAGES for example in examples_of(page.read_text("utf-8"), str(page.relative_to(ROOT)))]


def run(example: Example, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run the example as a script in an empty folder with an empty record of runs."""
    script = folder / "example.py"
    script.write_text(example.code, "utf-8")
    environment = {name: value for name, value in os.environ.items() if not name.startswith("FLYTE")}
    return subprocess.run(
        [sys.executable, script.name],
        cwd=folder,
        env=environment | {"FLYTE_HOME": str(folder / "flyte-home"), "PYTHONIOENCODING": "utf-8"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        encoding="utf-8",
        timeout=120,
    )


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example.place)
def test_example_runs_and_prints_what_its_page_says(example: Example, tmp_path: Path) -> None:
    done = run(example, tmp_path)
    assert done.returncode == 0, f"{example.place} ended with {done.returncode}\n{done.stderr}"
    if example.printed is not None:
        assert done.stdout == example.printed


def test_readme_and_documentation_have_examples() -> None:
    pages = {example.place.partition(":")[0] for example in EXAMPLES}
    assert "README.md" in pages
    assert any(page.startswith("docs/") for page in pages)


def test_text_block_is_the_output_of_the_python_block_right_above_it() -> None:
    with_output = "```python\nprint(1)\n```\n\n```text\n1\n```\n"
    without_output = "```python\nprint(2)\n```\n\nNot output:\n\n```text\n3\n```\n"
    assert examples_of(with_output + without_output, "page.md") == [
        Example("page.md:2", "print(1)\n", "1\n"),
        Example("page.md:9", "print(2)\n", None),
    ]
