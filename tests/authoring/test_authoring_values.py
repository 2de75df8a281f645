"""The values that settings take: retries, timeouts, caches, secrets, reuse, links, pods, documentation."""

from __future__ import annotations

import hashlib
import pickle
from collections.abc import Callable
from dataclasses import FrozenInstanceError, dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, NamedTuple

import pytest

import flyte
from flyte._authoring.cache import FunctionBodyPolicy, VersionParameters
from flyte._authoring.retry import retry_strategy
from flyte._authoring.secret import secrets_of
from flyte._authoring.timeout import timeout_of
from flyte.models import CodeBundle

untyped: Any = flyte
"""The package without its types, for calls that they would forbid."""

SECOND = timedelta(seconds=1)
MINUTE = timedelta(minutes=1)


@pytest.mark.parametrize(
    "make",
    [
        lambda: flyte.RetryStrategy(3, flyte.Backoff(SECOND, 2, MINUTE)),
        lambda: flyte.Timeout(5, MINUTE, 0),
        lambda: flyte.Cache("auto", ignored_inputs=("seed",), salt="s", max_age=60),
        lambda: flyte.Secret("key", "group"),
        lambda: flyte.ReusePolicy((1, 3), 60, 2, MINUTE, "run"),
        lambda: flyte.Documentation("what it does"),
        lambda: flyte.PodTemplate(labels={"team": "a"}),
    ],
)
def test_values_are_frozen_equal_and_survive_pickling(make: Callable[[], Any]) -> None:
    value = make()
    assert value == make()
    assert pickle.loads(pickle.dumps(value)) == value
    with pytest.raises(FrozenInstanceError):
        setattr(value, next(iter(value.__dataclass_fields__)), None)


@pytest.mark.parametrize(
    ("make", "kind", "message"),
    [
        (
            lambda: untyped.RetryStrategy(-1),
            ValueError,
            "RetryStrategy.count must be greater than or equal to 0, got -1",
        ),
        (
            lambda: untyped.RetryStrategy(True),
            ValueError,
            "RetryStrategy.count must be an int (a retry count), got True",
        ),
        (
            lambda: untyped.RetryStrategy(1, 5),
            TypeError,
            "RetryStrategy.backoff must be a flyte.Backoff or None, got 5",
        ),
        (lambda: untyped.Backoff(5), TypeError, "Backoff.base must be a timedelta, got 5 (int)"),
        (lambda: untyped.Backoff(-SECOND), ValueError, "Backoff.base must be >= 0"),
        (lambda: untyped.Backoff(SECOND, 0.5), ValueError, "finite number >= 1.0, got 0.5"),
        (lambda: untyped.Backoff(SECOND, float("inf")), ValueError, "finite number >= 1.0, got inf"),
        (lambda: untyped.Backoff(SECOND, 2), ValueError, "Backoff.cap is required when factor > 1.0, got factor=2"),
        (lambda: untyped.Backoff(SECOND, 1, -SECOND), ValueError, "Backoff.cap must be >= 0"),
        (lambda: untyped.Timeout(-1), ValueError, "Timeout.max_runtime must not be negative, got -1"),
        (lambda: untyped.Timeout(deadline=1.5), TypeError, "Timeout.deadline must be whole seconds (int), a timedelta"),
        (lambda: untyped.Timeout(max_queued_time=True), TypeError, "got True (bool)"),
        (lambda: untyped.Cache("automatic"), ValueError, "cache behavior must be one of 'auto', 'override', 'disable'"),
        (lambda: untyped.Cache("overide"), ValueError, "Did you mean 'override'?"),
        (lambda: untyped.Cache("auto", max_age=-1), ValueError, "Cache.max_age must not be negative, got -1"),
        (lambda: untyped.Cache("auto", max_age=True), TypeError, "Cache.max_age must be seconds (int), a timedelta"),
        (lambda: untyped.Cache("auto", policies=[1]), TypeError, "objects with a get_version method, got 1 (int)"),
        (lambda: untyped.Cache("auto", ignored_inputs=(1,)), TypeError, "Cache.ignored_inputs must be names of inputs"),
        (lambda: untyped.Secret("1a"), ValueError, "'1A' is not the name of an environment variable"),
        (lambda: untyped.Secret("a", as_env_var="a"), ValueError, "it must match ^[A-Z_][A-Z0-9_]*$"),
        (
            lambda: untyped.Secret("a", mount=Path("/x")),
            ValueError,
            "only be mounted at /etc/flyte/secrets, got mount='/x'",
        ),
        (lambda: untyped.Secret(1), TypeError, "Secret.key must be a str, got 1 (int)"),
        (lambda: untyped.ReusePolicy((3, 1)), ValueError, "must be 0 <= least <= most and most >= 1, got (3, 1)"),
        (lambda: untyped.ReusePolicy((1, 2, 3)), ValueError, "an int or a tuple of two ints, got (1, 2, 3)"),
        (lambda: untyped.ReusePolicy(idle_ttl=5), ValueError, "idle_ttl must be at least 30 seconds, got 5"),
        (lambda: untyped.ReusePolicy(scaledown_ttl=5), ValueError, "scaledown_ttl must be at least 30 seconds, got 5"),
        (lambda: untyped.ReusePolicy(concurrency=0), ValueError, "ReusePolicy.concurrency must be at least 1, got 0"),
        (lambda: untyped.ReusePolicy(scope="world"), ValueError, '"global" or "run", got \'world\''),
        (lambda: untyped.Documentation(5), TypeError, "Documentation.description must be a str, got 5 (int)"),
        (lambda: untyped.PodTemplate(labels={"a": 1}), TypeError, "PodTemplate.labels['a'] must be a str, got 1 (int)"),
        (lambda: untyped.PodTemplate(pod_spec=5), TypeError, "PodTemplate.pod_spec must be a kubernetes V1PodSpec"),
        (lambda: untyped.PodTemplate(primary_container_name=""), TypeError, "must be a name, got ''"),
    ],
)
def test_a_wrong_value_is_refused_with_what_was_expected(make: Any, kind: type[Exception], message: str) -> None:
    with pytest.raises(kind) as refusal:
        make()
    assert message in str(refusal.value)


@pytest.mark.parametrize(
    ("backoff", "waits_s"),
    [
        (flyte.Backoff(SECOND), [1, 1, 1]),
        (flyte.Backoff(SECOND, 2, timedelta(seconds=3)), [1, 2, 3]),
        (flyte.Backoff(MINUTE, 1, SECOND), [1, 1, 1]),
    ],
)
def test_the_wait_grows_by_the_factor_up_to_the_cap(backoff: flyte.Backoff, waits_s: list[int]) -> None:
    assert [backoff.compute_delay(n).total_seconds() for n in range(3)] == waits_s


def test_a_wait_too_long_for_a_timedelta_is_the_cap() -> None:
    assert flyte.Backoff(SECOND, 2, MINUTE).compute_delay(100_000) == MINUTE
    assert flyte.Backoff(SECOND, 2, timedelta()).compute_delay(100_000) == timedelta()
    with pytest.raises(ValueError, match="must be >= 0, got -1"):
        flyte.Backoff(SECOND).compute_delay(-1)


def test_a_bare_number_of_retries_is_a_strategy() -> None:
    assert retry_strategy(2) == flyte.RetryStrategy(2)


@pytest.mark.parametrize(
    ("timeout", "limits"),
    [
        (0, flyte.Timeout()),
        (5, flyte.Timeout(max_runtime=5)),
        (MINUTE, flyte.Timeout(max_runtime=MINUTE)),
        (flyte.Timeout(deadline=5), flyte.Timeout(deadline=5)),
    ],
)
def test_a_bare_timeout_limits_the_run_time(timeout: Any, limits: flyte.Timeout) -> None:
    assert timeout_of(timeout) == limits


def test_limits_in_seconds_are_none_where_there_is_no_limit() -> None:
    timeout = flyte.Timeout(5, timedelta(milliseconds=500), 0)
    assert (timeout.max_runtime_s, timeout.max_queued_time_s, timeout.deadline_s) == (5.0, 0.5, None)


@pytest.mark.parametrize(
    ("word", "behavior"),
    [("auto", "auto"), ("ON", "auto"), ("yes", "auto"), ("Override", "override"), ("off", "disable")],
)
def test_common_words_for_on_and_off_are_cache_behaviors(word: Any, behavior: str) -> None:
    cache = flyte.Cache(word)
    assert cache.behavior == behavior
    assert cache.is_enabled() is (behavior != "disable")


def test_one_ignored_input_may_stand_alone() -> None:
    assert flyte.Cache("auto", ignored_inputs="seed").get_ignored_inputs() == ("seed",)


class Constant(NamedTuple):
    """A policy that always says the same."""

    text: str

    def get_version(self, salt: str, params: VersionParameters) -> str:
        return self.text


class Broken:
    """A policy that fails."""

    def get_version(self, salt: str, params: VersionParameters) -> str:
        raise KeyError("boom")


def sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def body(x: int) -> int:
    return x + 1


PARAMETERS = VersionParameters(func=body)


@pytest.mark.parametrize(
    ("cache", "params", "version"),
    [
        (flyte.Cache("disable", "v1"), None, ""),
        (flyte.Cache("auto", "v1"), None, "v1"),
        (flyte.Cache("override"), VersionParameters(None, None, CodeBundle(computed_version="cv", pkl="x")), "cv"),
    ],
)
def test_a_version_that_is_given_is_not_computed(cache: flyte.Cache, params: VersionParameters, version: str) -> None:
    assert cache.get_version(params) == version


def test_the_version_is_the_hash_of_what_the_policies_say() -> None:
    cache = flyte.Cache("auto", policies=[Constant("a"), Constant("b")])
    assert cache.get_version(PARAMETERS) == sha256("ab")
    default = sha256(FunctionBodyPolicy().get_version("salt", PARAMETERS))
    assert flyte.Cache("auto", salt="salt").get_version(PARAMETERS) == default


@pytest.mark.parametrize(
    ("params", "message"),
    [
        (None, "pass VersionParameters, or set version_override"),
        (
            PARAMETERS,
            "failed to compute a version of body: KeyError: 'boom'. Give one with Cache(..., version_override='1')",
        ),
    ],
)
def test_a_version_that_cannot_be_computed_is_an_error(params: VersionParameters | None, message: str) -> None:
    with pytest.raises(ValueError) as refusal:
        flyte.Cache("auto", policies=Broken()).get_version(params)
    assert message in str(refusal.value)


def version_of(source: str, folder: Path, salt: str = "") -> str:
    file = folder / f"{sha256(source)}.py"
    file.write_text(source)
    names: dict[str, Any] = {}
    exec(compile(source, str(file), "exec"), names)
    return FunctionBodyPolicy().get_version(salt, VersionParameters(names["f"]))


def test_the_version_changes_with_the_body_and_not_with_its_layout(tmp_path: Path) -> None:
    version = version_of("def f(x):\n    return x + 1\n", tmp_path)
    assert version == version_of("def f( x ):  # adds one\n\n    return (x+1)\n", tmp_path)
    assert version != version_of("def f(x):\n    return x + 2\n", tmp_path)
    assert version != version_of("def f(x):\n    return x + 1\n", tmp_path, salt="s")


@pytest.mark.parametrize(
    ("secret", "env_var", "digest"),
    [
        (flyte.Secret("a"), "A", "b6f2223de5b92f7cf786872ee99483fbed1f61431aa8e0808ab67a84b1ea2be4"),
        (flyte.Secret("a-b", group="g"), "G_A_B", sha256("a-b|g||G_A_B")),
        (flyte.Secret("a", "g", as_env_var="B"), "B", sha256("a|g||B")),
        (flyte.Secret("a", mount=Path("/etc/flyte/secrets")), None, sha256("a||/etc/flyte/secrets|")),
    ],
)
def test_a_secret_has_the_same_identity_in_every_process(
    secret: flyte.Secret, env_var: str | None, digest: str
) -> None:
    assert secret.as_env_var == env_var
    assert secret.stable_hash() == digest
    assert hash(secret) == int(digest[:15], 16)


def test_a_secret_may_be_requested_by_its_key_alone() -> None:
    assert secrets_of("a") == (flyte.Secret("a"),)
    assert secrets_of(["a", flyte.Secret("b")]) == (flyte.Secret("a"), flyte.Secret("b"))
    assert secrets_of(None) == ()


def test_durations_and_replicas_of_a_reuse_policy_are_written_out() -> None:
    policy = flyte.ReusePolicy(3, idle_ttl=60)
    assert (policy.replicas, policy.min_replicas, policy.max_replicas) == ((3, 3), 3, 3)
    assert policy.idle_ttl == MINUTE
    assert policy.get_scaledown_ttl() == timedelta(seconds=30)


class LogLink:
    """A link in the form that users write."""

    name = "logs"
    icon_uri = ""

    def get_link(self, run_name: str, *args: str, **kwargs: Any) -> str:
        return f"http://logs/{run_name}"


def test_any_object_with_a_name_and_get_link_is_a_link() -> None:
    assert isinstance(LogLink(), flyte.Link)
    assert not isinstance(object(), flyte.Link)


@dataclass
class Container:
    name: str


@dataclass
class PodSpec:
    containers: list[Container]


@pytest.mark.parametrize(
    ("containers", "name", "primary"),
    [(["primary", "b"], None, "primary"), (["a"], None, "a"), (["a", "b"], "b", "b")],
)
def test_the_primary_container_is_found_in_the_spec(containers: list[str], name: str | None, primary: str) -> None:
    spec = PodSpec([Container(each) for each in containers])
    template = flyte.PodTemplate.from_spec(spec, primary_container_name=name, labels={"a": "b"})
    assert (template.primary_container_name, template.labels) == (primary, {"a": "b"})
    spec.containers.clear()
    assert template.pod_spec is not None
    assert [container.name for container in template.pod_spec.containers] == containers


@pytest.mark.parametrize(
    ("containers", "name", "message"),
    [
        (["a", "b"], None, "containers ['a', 'b'] and none is named 'primary'"),
        (["a"], "b", "'b' not found in pod spec; available containers: ['a']"),
    ],
)
def test_an_unclear_primary_container_is_refused(containers: list[str], name: str | None, message: str) -> None:
    with pytest.raises(ValueError) as refusal:
        flyte.PodTemplate.from_spec(PodSpec([Container(each) for each in containers]), primary_container_name=name)
    assert message in str(refusal.value)
