"""Extras: packages that only some parts of loss_logging need, and the command that installs them."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from loss_logging.errors import MissingExtraError

__all__ = ["install_command", "is_installed", "missing_package", "require"]

_NAME = "loss-logging"


def require(extra: str, *modules: str, subject: str = "this") -> None:
    """Check that the modules of an extra are installed.

    Args:
        extra: the extra that installs them.
        modules: names of the modules.
        subject: the part that needs them, as the error begins.

    Raises:
        MissingExtraError: a module is not installed; the message holds the pip command.

    Example:
        >>> require("demo", "torhc")  # doctest: +ELLIPSIS
        Traceback (most recent call last):
        loss_logging.errors.MissingExtraError: this needs the package torhc; run: pip install ...
    """
    for module in modules:
        if not is_installed(module):
            raise missing_package(module, f"{_NAME}[{extra}]", subject=subject)


def is_installed(module: str) -> bool:
    """Whether ``module`` can be imported. A folder with its name is no module."""
    spec = find_spec(module)
    return spec is not None and spec.origin is not None


def missing_package(package: str, requirement: str, *, subject: str = "this") -> MissingExtraError:
    """The error that says which package ``subject`` needs, and the command that installs it."""
    return MissingExtraError(f"{subject} needs the package {package}; run: {install_command(requirement)}")


def install_command(requirement: str) -> str:
    """The pip command that installs a requirement.

    An extra of ours is added to this installation in its own form: a checkout, an archive or a repository. pip notes
    that form in ``direct_url.json`` (PEP 610). Without such a note, the command names the packages of the extra and
    never our own package, as our name may belong to somebody else on another index.

    Args:
        requirement: ``"loss-logging[wandb]"`` for an extra, or any other requirement of pip.

    Example:
        >>> install_command("gcsfs>=2024.2")
        'pip install "gcsfs>=2024.2"'
    """
    from importlib.metadata import distribution  # it takes longer to load than all of this module

    extra = re.fullmatch(r"loss[-_]logging\[(\w+)\]", requirement)
    if extra is None:
        return f'pip install "{requirement}"'
    if (noted := _noted_origin()) is not None:
        return f"pip install {_requirement(extra[1], noted)}"
    packages = [f'"{package}"' for package in _packages(extra[1], distribution(_NAME).requires or [])]
    return f"pip install {' '.join(packages)}"


def _noted_origin() -> dict[str, Any] | None:
    """The origin of this installation; None if pip did not note it."""
    from importlib.metadata import distributions

    installed = list(distributions(name=_NAME))
    if not installed:  # a checkout on the path that is not installed
        return {"url": Path(__file__).parents[2].as_uri(), "dir_info": {"editable": True}}
    # In a checkout, the leftovers of a build (egg-info) are found too, and first.
    notes = (one.read_text("direct_url.json") for one in installed)
    noted: dict[str, Any] | None = next((json.loads(note) for note in notes if note), None)
    return noted


def _requirement(extra: str, origin: dict[str, Any]) -> str:
    """The requirement for pip, by the origin of this installation.

    >>> _requirement("wandb", {"url": "file:///home/me/loss_logging", "dir_info": {"editable": True}})
    '-e "/home/me/loss_logging[wandb]"'
    >>> _requirement("wandb", {"url": "https://example.org/x.git", "vcs_info": {"vcs": "git"}})
    '"loss-logging[wandb] @ git+https://example.org/x.git"'
    """
    url = origin["url"]
    if "dir_info" in origin:
        editable = "-e " if origin["dir_info"].get("editable") else ""
        return f'{editable}"{unquote(urlsplit(url).path)}[{extra}]"'
    vcs = origin.get("vcs_info", {}).get("vcs")
    return f'"{_NAME}[{extra}] @ {f"{vcs}+" if vcs else ""}{url}"'


def _packages(extra: str, requirements: Sequence[str]) -> list[str]:
    """The packages of an extra, from the requirements of this installation; extras inside it are resolved.

    >>> _packages("demo", ['scikit-learn>=1.3; extra == "demo"', 'loss-logging[torch]; extra == "demo"',
    ...                    'torch>=2.1; python_version < "3.20" and extra == "torch"'])
    ['scikit-learn>=1.3', "torch>=2.1; python_version < '3.20'"]
    """
    found: dict[str, None] = {}
    for text in requirements:
        package, _, marker = (part.strip() for part in text.partition(";"))
        condition, wanted = re.subn(rf"(?: and )?extra == ['\"]{extra}['\"]", "", marker)
        if not wanted:
            continue
        inside = re.fullmatch(r"loss[-_]logging\[([\w,]+)\]", package)
        if inside:
            found |= dict.fromkeys(name for part in inside[1].split(",") for name in _packages(part, requirements))
        else:
            found[package + (f"; {condition}".replace('"', "'") if condition else "")] = None
    return list(found)
