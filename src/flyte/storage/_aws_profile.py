"""Credentials of a profile in Amazon's shared files, which obstore does not read itself."""

from __future__ import annotations

import os
from configparser import ConfigParser, Error
from pathlib import Path
from typing import Any

from flyte.errors import InitializationError
from flyte.storage._settings import check_endpoint

_STATIC_KEYS = {
    "aws_access_key_id": "access_key_id",
    "aws_secret_access_key": "secret_access_key",
    "aws_session_token": "session_token",
}


def profile_arguments() -> dict[str, Any]:
    """What the profile of `AWS_PROFILE`, or the default one, says of how S3 is reached; empty where nothing does.

    Keys in `AWS_ACCESS_KEY_ID` win, unless a profile is named. A profile without keys of its own (single sign-on, a
    role to assume, a program that prints keys) is left to boto3.

    Raises:
        InitializationError: code `InvalidStorageSetting`; the named profile does not exist, or only boto3 could use it
            and is not installed.
    """
    named = os.environ.get("AWS_PROFILE")
    if not named and os.environ.get("AWS_ACCESS_KEY_ID"):
        return {}
    profile = _read_profile(named or "default")
    if profile is None:
        if named:
            raise _unusable(
                f"AWS_PROFILE is {named!r}, and neither {_file('credentials')} nor {_file('config')} has it"
            )
        return {}
    arguments: dict[str, Any] = {ours: profile[theirs] for theirs, ours in _STATIC_KEYS.items() if profile.get(theirs)}
    if not arguments and named:
        arguments["credential_provider"] = _boto3_provider(named)
    for theirs, ours in (("region", "region"), ("endpoint_url", "endpoint")):
        if profile.get(theirs) and not os.environ.get(f"AWS_{theirs.upper()}"):
            arguments[ours] = profile[theirs]
    if "endpoint" in arguments:
        check_endpoint(
            arguments["endpoint"], f"endpoint_url of profile {named or 'default'!r} is {arguments['endpoint']!r}"
        )
    return arguments


def _file(kind: str) -> Path:
    variable = {"credentials": "AWS_SHARED_CREDENTIALS_FILE", "config": "AWS_CONFIG_FILE"}[kind]
    return Path(os.environ.get(variable) or f"~/.aws/{kind}").expanduser()


def _read_profile(name: str) -> dict[str, str] | None:
    found: dict[str, str] | None = None
    # In the config file every section but the default one is named with the word; the credentials file wins.
    for kind, section in (("config", name if name == "default" else f"profile {name}"), ("credentials", name)):
        parser = ConfigParser(interpolation=None)
        try:
            parser.read(_file(kind), encoding="utf-8")
        except (Error, UnicodeDecodeError) as error:
            raise _unusable(f"{_file(kind)} cannot be read: {error}") from error
        if parser.has_section(section):
            found = {**(found or {}), **dict(parser[section])}
    return found


def _boto3_provider(profile: str) -> Any:
    try:
        from boto3 import Session
        from obstore.auth.boto3 import Boto3CredentialProvider
    except ImportError:
        raise _unusable(
            f"profile {profile!r} holds no keys of its own; only boto3 can use it: pip install boto3"
        ) from None
    return Boto3CredentialProvider(Session(profile_name=profile))


def _unusable(message: str) -> InitializationError:
    return InitializationError("InvalidStorageSetting", "user", f"{message}.")
