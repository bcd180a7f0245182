"""Extras: packages that some parts of loss_logging need and others do not, and the command that installs them."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from importlib.metadata import distribution, distributions
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
        modules: names of modules that are imported.
        subject: what needs them, as the error begins.

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
    """Whether ``module`` can be imported. A folder that happens to have its name is no module."""
    spec = find_spec(module)
    return spec is not None and spec.origin is not None


def missing_package(package: str, requirement: str, *, subject: str = "this") -> MissingExtraError:
    """The error that says which package ``subject`` needs, and the command that installs it."""
    return MissingExtraError(f"{subject} needs the package {package}; run: {install_command(requirement)}")


def install_command(requirement: str) -> str:
    """The pip command that installs what is missing.

    An extra of ours is added to this installation as it is: a checkout, an archive or a repository. How a package was
    installed is what pip notes in ``direct_url.json`` (PEP 610). Where nothing is noted, the packages of the extra are
    named, and never ours: on an index that is not the one it came from, our name may be somebody else's.

    Args:
        requirement: ``"loss-logging[wandb]"`` for an extra, or any other requirement of pip.

    Example:
        >>> install_command("gcsfs>=2024.2")
        'pip install "gcsfs>=2024.2"'
    """
    extra = re.fullmatch(r"loss[-_]logging\[(\w+)\]", requirement)
    if extra is None:
        return f'pip install "{requirement}"'
    if (noted := _noted_origin()) is not None:
        return f"pip install {_requirement(extra[1], noted)}"
    packages = [f'"{package}"' for package in _packages(extra[1], distribution(_NAME).requires or [])]
    return f"pip install {' '.join(packages)}"


def _noted_origin() -> dict[str, Any] | None:
    """Where this installation came from; None where pip did not note it."""
    installed = list(distributions(name=_NAME))
    if not installed:  # a checkout on the path that nobody has installed
        return {"url": Path(__file__).parents[2].as_uri(), "dir_info": {"editable": True}}
    # In a checkout, what building leaves behind (egg-info) is found too, and first.
    notes = (one.read_text("direct_url.json") for one in installed)
    noted: dict[str, Any] | None = next((json.loads(note) for note in notes if note), None)
    return noted


def _requirement(extra: str, origin: dict[str, Any]) -> str:
    """What pip is to install, by where this installation came from.

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
    """The packages of an extra, by the requirements of this installation; those of an extra inside it, too.

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
