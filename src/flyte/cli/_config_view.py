"""`flyte get config`: every setting and the file it comes from."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from flyte.cli._documents import print_details, print_document
from flyte.cli._invocation import OutputFormat
from flyte.cli._literals import show_value

if TYPE_CHECKING:
    from flyte.config import Config

_SECRET = "client_credentials_secret"


def show_config(config: Config, output: OutputFormat) -> None:
    """All settings; a client secret is not shown, only that there is one."""
    from flyte.config import home

    sections = asdict(config)
    source = sections.pop("source")
    if sections["platform"][_SECRET]:
        sections["platform"][_SECRET] = "(set)"
    document: dict[str, Any] = {"home": str(home()), "source": str(source) if source else None, **sections}
    if output.is_document:
        print_document(document, output)
        return
    pairs = [("home", document["home"]), ("file", document["source"] or "none found")]
    for section, settings in sections.items():
        pairs += [(f"{section}.{name}", _text(value)) for name, value in settings.items()]
    print_details(pairs)


def _text(value: Any) -> str:
    if value is None or value in ([], {}):
        return "-"
    return ("true" if value else "false") if isinstance(value, bool) else show_value(value)
