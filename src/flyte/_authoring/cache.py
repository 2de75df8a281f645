"""Whether results of a task are kept and used again."""

from __future__ import annotations

import ast
import hashlib
import inspect
import textwrap
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any, List, Literal, Optional, Protocol, Tuple, Union, get_args, runtime_checkable

from flyte._authoring.expectations import expect, expect_bool, expect_optional_str, near_name

if TYPE_CHECKING:
    from flyte._authoring.image import Image
    from flyte.models import CodeBundle

CacheBehavior = Literal["auto", "override", "disable"]

_BEHAVIORS = get_args(CacheBehavior)
_MEANING: dict[str, CacheBehavior] = {
    **{behavior: behavior for behavior in _BEHAVIORS},
    **dict.fromkeys(("enable", "enabled", "on", "true", "yes"), "auto"),
    **dict.fromkeys(("off", "false", "no", "none"), "disable"),
}


@dataclass(frozen=True)
class VersionParameters:
    """What a policy may look at to compute the version of a task."""

    func: Optional[Callable[..., Any]]
    image: Union[str, Image, None] = None
    code_bundle: Optional[CodeBundle] = None


@runtime_checkable
class CachePolicy(Protocol):
    """Computes a version of a task: results are used again as long as it stays the same."""

    def get_version(self, salt: str, params: VersionParameters) -> str:
        """The version; any string.

        Args:
            salt: The salt of the `Cache`, to be mixed in.
            params: The task's function and what it runs on.
        """
        ...


@dataclass(frozen=True)
class FunctionBodyPolicy:
    """The version changes with the code of the function, decorators included, and not with comments or formatting."""

    def get_version(self, salt: str, params: VersionParameters) -> str:
        """SHA-256 of the function's syntax tree and the salt.

        Raises:
            ValueError: there is no function.
            OSError: its source is not in a file, as in an interactive prompt.
        """
        if params.func is None:
            raise ValueError("there is no function to take the version from")
        tree = ast.parse(textwrap.dedent(inspect.getsource(params.func)))
        return hashlib.sha256(f"{ast.dump(tree)}{salt}".encode()).hexdigest()


@dataclass(frozen=True)
class Cache:
    """Whether results of a task are kept and used again for equal inputs.

    Attributes:
        behavior: `auto` uses kept results and keeps new ones, `override` computes always and keeps, `disable` neither.
            Common words for on and off are taken too.
        version_override: The version, instead of one computed by policies.
        serialize: Of several equal actions at one time, one computes and the others wait for it.
        ignored_inputs: Names of inputs that make no difference; one name may stand alone.
        salt: Mixed into the computed version.
        policies: What computes the version; by default the code of the function.
        max_age: How old a result may be to be used, in seconds or as a `timedelta`; None for any age.

    Raises:
        ValueError: there is no such behavior, or the age is negative.
        TypeError: a field is of another type.
    """

    behavior: CacheBehavior
    version_override: Optional[str] = None
    serialize: bool = False
    ignored_inputs: Union[Tuple[str, ...], str] = ()
    salt: str = ""
    policies: Union[List[CachePolicy], Tuple[CachePolicy, ...], CachePolicy, None] = None
    max_age: timedelta | int | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "behavior", _behavior(self.behavior))
        object.__setattr__(self, "policies", _policies(self.policies))
        object.__setattr__(self, "max_age", _max_age(self.max_age))
        if not isinstance(self.ignored_inputs, str):
            object.__setattr__(self, "ignored_inputs", tuple(self.ignored_inputs))
        expect_optional_str("Cache.version_override", self.version_override)
        expect_bool("Cache.serialize", self.serialize)
        expect(isinstance(self.salt, str), "Cache.salt", "a str", self.salt)
        for name in self.get_ignored_inputs():
            expect(isinstance(name, str), "Cache.ignored_inputs", "names of inputs", name)

    def is_enabled(self) -> bool:
        """True when results are kept."""
        return self.behavior != "disable"

    def get_ignored_inputs(self) -> Tuple[str, ...]:
        """Names of the inputs that make no difference."""
        return (self.ignored_inputs,) if isinstance(self.ignored_inputs, str) else self.ignored_inputs

    def get_version(self, params: Optional[VersionParameters] = None) -> str:
        """The version of a task: results kept under another version are not used. Empty when results are not kept.

        It is `version_override` if that is given; for a pickled task the hash of the pickle; else the SHA-256 in hex
        of what the policies say, one after the other.

        Raises:
            ValueError: a version has to be computed, and `params` are missing or a policy fails.
        """
        if not self.is_enabled():
            return ""
        if self.version_override is not None:
            return self.version_override
        if params is None:
            raise ValueError("a version has to be computed: pass VersionParameters, or set version_override")
        if params.code_bundle is not None and params.code_bundle.pkl is not None:
            return params.code_bundle.computed_version
        versions = (self._version_by(policy, params) for policy in _policies(self.policies))
        return hashlib.sha256("".join(versions).encode()).hexdigest()

    def _version_by(self, policy: CachePolicy, params: VersionParameters) -> str:
        try:
            return policy.get_version(self.salt, params)
        except Exception as error:
            name = getattr(params.func, "__qualname__", params.func)
            raise ValueError(
                f"cache policy {policy!r} failed to compute a version of {name}: {type(error).__name__}: {error}. "
                f"Give one with Cache(..., version_override='1')."
            ) from error


CacheRequest = Union[CacheBehavior, Cache]
"""What `cache=` accepts."""


def cache_of(request: CacheRequest) -> Cache:
    """The cache settings that `cache=` means.

    Raises:
        ValueError: there is no such behavior.
        TypeError: it is neither a behavior nor a `Cache`.
    """
    if isinstance(request, Cache):
        return request
    expect(isinstance(request, str), "cache", '"auto", "override", "disable" or a flyte.Cache', request)
    return Cache(request)


def _behavior(behavior: str) -> CacheBehavior:
    word = behavior.lower() if isinstance(behavior, str) else ""
    if word in _MEANING:
        return _MEANING[word]
    raise ValueError(
        f"cache behavior must be one of {', '.join(map(repr, _BEHAVIORS))}, got {behavior!r}."
        f"{near_name(behavior, _MEANING)}"
    )


def _policies(policies: Sequence[CachePolicy] | CachePolicy | None) -> tuple[CachePolicy, ...]:
    if policies is None:
        return (FunctionBodyPolicy(),)
    each_policy = tuple(policies) if isinstance(policies, Sequence) else (policies,)
    for policy in each_policy:
        expect(isinstance(policy, CachePolicy), "Cache.policies", "objects with a get_version method", policy)
    return each_policy


def _max_age(max_age: timedelta | int | None) -> timedelta | None:
    if max_age is None:
        return None
    is_duration = isinstance(max_age, int | timedelta) and not isinstance(max_age, bool)
    expect(is_duration, "Cache.max_age", "seconds (int), a timedelta or None", max_age)
    age = max_age if isinstance(max_age, timedelta) else timedelta(seconds=max_age)
    if age < timedelta():
        raise ValueError(f"Cache.max_age must not be negative, got {max_age!r}")
    return age
