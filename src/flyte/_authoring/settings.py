"""The settings of environments and tasks: what each accepts, and what it becomes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from flyte._authoring.cache import cache_of
from flyte._authoring.documentation import Documentation
from flyte._authoring.expectations import expect, expect_bool, expect_optional_str, expect_str_mapping
from flyte._authoring.image import image_of
from flyte._authoring.link import links_of
from flyte._authoring.pod import PodTemplate
from flyte._authoring.resources import Resources
from flyte._authoring.retry import retry_strategy
from flyte._authoring.reuse import ReusePolicy
from flyte._authoring.secret import SecretRequest, secrets_of
from flyte._authoring.timeout import timeout_of
from flyte._authoring.triggers import triggers_of


def settle(setting: str, value: Any) -> Any:
    """What `value` becomes as this setting: short forms are written out, the rest stays as it is.

    Raises:
        TypeError: a value of this type means nothing here.
        ValueError: the value is out of its range, or asks for what does not exist in this release.
    """
    return _SETTINGS[setting](value)


def _instance(setting: str, kind: type) -> Callable[[Any], Any]:
    def check(value: object) -> object:
        expect(value is None or isinstance(value, kind), setting, f"a flyte.{kind.__name__} or None", value)
        return value

    return check


def _text(setting: str) -> Callable[[Any], Any]:
    def check(value: object) -> object:
        expect_optional_str(setting, value)
        return value

    return check


def _flag(setting: str) -> Callable[[Any], Any]:
    def check(value: object) -> object:
        expect_bool(setting, value)
        return value

    return check


def _env_vars(env_vars: dict[str, str] | None) -> dict[str, str] | None:
    if env_vars is not None:
        expect_str_mapping("env_vars", env_vars)
    return env_vars


def _secrets(secrets: SecretRequest | None) -> SecretRequest | None:
    secrets_of(secrets)
    return secrets


def _pod_template(pod_template: object) -> object:
    is_template = pod_template is None or isinstance(pod_template, str | PodTemplate)
    expect(is_template, "pod_template", "a flyte.PodTemplate, the name of one, or None", pod_template)
    return pod_template


def _inline_bytes(limit: Any) -> Any:
    expect(isinstance(limit, int) and not isinstance(limit, bool), "max_inline_io_bytes", "an int", limit)
    if limit < 1:
        raise ValueError(f"max_inline_io_bytes must be at least 1, got {limit}")
    return limit


def _absent(setting: str, what: str) -> Callable[[Any], Any]:
    def refuse(value: object) -> object:
        if value:
            raise ValueError(f"{setting}={value!r}: {what} do not exist in this release; leave it out")
        return value

    return refuse


def _plugin_config(plugin_config: object) -> None:
    if plugin_config is not None:
        raise ValueError(
            f"plugin_config={plugin_config!r}: no task plugin takes a {type(plugin_config).__name__}; "
            f"task plugins do not exist in this release, so leave it out"
        )


_SETTINGS: dict[str, Callable[[Any], Any]] = {
    "cache": cache_of,
    "description": _text("description"),
    "docs": _instance("docs", Documentation),
    "entrypoint": _flag("entrypoint"),
    "env_vars": _env_vars,
    "image": image_of,
    "interruptible": _flag("interruptible"),
    "links": links_of,
    "max_inline_io_bytes": _inline_bytes,
    "plugin_config": _plugin_config,
    "pod_template": _pod_template,
    "produces_artifacts": _absent("produces_artifacts", "artifacts"),
    "queue": _text("queue"),
    "report": _flag("report"),
    "resources": _instance("resources", Resources),
    "retries": retry_strategy,
    "reusable": _instance("reusable", ReusePolicy),
    "secrets": _secrets,
    "service_account": _text("service_account"),
    "short_name": _text("short_name"),
    "task_resolver": _absent("task_resolver", "task resolvers of your own"),
    "timeout": timeout_of,
    "triggers": triggers_of,
}
