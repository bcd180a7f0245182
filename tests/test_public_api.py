"""loss_logging/__init__.py"""

from __future__ import annotations

import pydoc
import re
from importlib.metadata import entry_points, version
from pathlib import Path

import pytest

import loss_logging
from loss_logging.evaluation.config import EvaluateConfig

PUBLIC = {
    "Exclusions",
    "LoggerBackend",
    "LossLogger",
    "LossReport",
    "SampleRecord",
    "TrainConfig",
    "aggregate_by_dataset",
    "capture_per_example_loss",
    "compute_per_example_loss",
    "evaluate_dataset",
    "flag_bad_captions",
    "per_example_loss",
    "read_report",
}


def test_all_is_what_was_promised() -> None:
    """The public names are these, sorted, and no others."""
    assert set(loss_logging.__all__) == PUBLIC
    assert loss_logging.__all__ == sorted(loss_logging.__all__)


@pytest.mark.parametrize("name", sorted(PUBLIC))
def test_every_public_name_resolves(name: str) -> None:
    """Each name leads to a documented object, the same one each time."""
    value = getattr(loss_logging, name)
    assert value.__doc__
    assert getattr(loss_logging, name) is value
    assert name in dir(loss_logging)


def test_star_import() -> None:
    """`from loss_logging import *` gives exactly the public names."""
    namespace: dict[str, object] = {}
    exec("from loss_logging import *", namespace)
    assert set(namespace) - {"__builtins__"} == PUBLIC


def test_type_checkers_see_the_same_names() -> None:
    """What is imported for type checkers is what is loaded on first use, from the same modules."""
    source = Path(loss_logging.__file__).read_text(encoding="utf-8")
    imports = re.findall(r"^    from loss_logging\.([\w.]+) import (.+)$", source, re.MULTILINE)
    typed = {name: module for module, names in imports for name in names.split(", ")}
    assert typed == loss_logging._HOME


def test_unknown_name() -> None:
    """A name that does not exist raises what any module raises."""
    with pytest.raises(AttributeError, match="has no attribute 'LossLoger'"):
        loss_logging.LossLoger  # noqa: B018


def test_version_is_the_installed_one() -> None:
    """__version__ and the installed metadata agree."""
    assert loss_logging.__version__ == version("loss-logging")


@pytest.mark.parametrize("name", ["memory", "tensorboard", "wandb"])
def test_backend_entry_points_lead_somewhere(name: str) -> None:
    """Each backend name leads to a class with write and close, importable without its SDK."""
    (entry,) = entry_points(group="loss_logging.backends", name=name)
    backend = entry.load()
    assert callable(backend.write)
    assert callable(backend.close)


@pytest.mark.parametrize("config", [loss_logging.TrainConfig, EvaluateConfig], ids=lambda config: config.__name__)
def test_help_can_be_read(config: type) -> None:
    """`help()` of a configuration has no line that nobody reads: the first one holds names and defaults alone."""
    lines = pydoc.plain(pydoc.render_doc(config)).splitlines()
    assert max(map(len, lines)) < 1_000
    assert not any("Annotated" in line for line in lines[:5])
    assert any("log_every=50" in line or "draws=4" in line for line in lines[:5])
