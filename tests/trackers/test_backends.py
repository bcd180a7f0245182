"""Which backends the configuration's loggers mean, and in which process they run."""

from __future__ import annotations

import importlib
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest

from loss_logging.errors import ConfigError, MissingExtraError
from loss_logging.runs.config import TrainConfig
from loss_logging.trackers.backends import BackendSpec, Requirements, build_backend, select_backends
from loss_logging.trackers.memory import MemoryBackend

TENSORBOARD = "loss_logging.integrations.loggers.tensorboard:TensorBoardBackend"
WANDB = "loss_logging.integrations.loggers.wandb:WandbBackend"

USER_MODULE = """
from loss_logging.trackers.backends import Requirements
from loss_logging.trackers.memory import MemoryBackend

class Plain(MemoryBackend):
    requirements = None
    def __init__(self, url, retries=3):
        super().__init__()
        self.url, self.retries = url, retries

class Configured(Plain):
    @classmethod
    def from_config(cls, config, **options):
        return cls(**{"url": config.job_name, **options})

class AnyOption(MemoryBackend):
    requirements = None
    def __init__(self, **options):
        super().__init__()
        self.options = options

class NeedsSdk(MemoryBackend):
    @classmethod
    def requirements(cls):
        return Requirements({"sdk_that_nobody_installed": "my-tracker[sdk]"})

class NeedsFolder(MemoryBackend):
    @classmethod
    def requirements(cls):
        return Requirements({"only_a_folder": "only-a-folder"})

NOT_CALLABLE = 1
"""


@pytest.fixture
def user_module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A module of the user's with backends in it, and a package that registers one."""
    name = f"user_backends_{tmp_path.name.replace('-', '_')}"
    (tmp_path / f"{name}.py").write_text(USER_MODULE)
    (tmp_path / "only_a_folder").mkdir()
    info = tmp_path / "my_tracker-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: my-tracker\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[loss_logging.backends]\nmy-tracker = {name}:Plain\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    importlib.invalidate_caches()
    return name


@pytest.fixture
def config(tmp_path: Path) -> TrainConfig:
    """A configuration whose files stay in the test's folder."""
    return TrainConfig(job_name="cats", save_root=tmp_path)


def test_each_backend_runs_where_it_can() -> None:
    """Own files and own runs belong to the reporter; instances and objects of the trainer stay in its process."""
    memory, writer = MemoryBackend(), object()
    selection = select_backends(
        [
            "tensorboard",
            {"name": "wandb", "project": "p"},
            "wandb",
            {"name": "tensorboard", "writer": writer},
            "memory",
            memory,
        ]
    )
    assert selection.reporter == [
        BackendSpec("tensorboard", TENSORBOARD),
        BackendSpec("wandb", WANDB, {"project": "p"}),
    ]
    assert selection.trainer == [
        BackendSpec("wandb", WANDB),
        BackendSpec("tensorboard", TENSORBOARD, {"writer": writer}),
        BackendSpec("memory", "loss_logging.trackers.memory:MemoryBackend"),
        memory,
    ]


def test_a_class_of_the_main_module_stays_in_the_trainer(monkeypatch: pytest.MonkeyPatch) -> None:
    """Another process has another __main__."""
    monkeypatch.setattr(sys.modules["__main__"], "Mine", MemoryBackend, raising=False)
    assert select_backends(["__main__:Mine"]) == ([], [BackendSpec("__main__:Mine", "__main__:Mine")])


def test_reporter_specs_survive_json(user_module: str, tmp_path: Path) -> None:
    """What goes to the reporter process is plain data, paths included."""
    (spec,) = select_backends([{"name": "tensorboard", "log_dir": tmp_path}]).reporter
    assert msgspec.json.decode(msgspec.json.encode(spec), type=BackendSpec) == spec
    assert json.loads(msgspec.json.encode(spec))["options"] == {"log_dir": str(tmp_path)}
    live = {"name": f"{user_module}:Plain", "url": object()}
    assert select_backends([live]).reporter == []
    assert select_backends([live]).trainer[0].options == {"url": live["url"]}  # type: ignore[union-attr]


def test_registered_backend_is_found_by_name(user_module: str, config: TrainConfig) -> None:
    """A package's entry point is enough to be selected by name and built with its options."""
    (spec,) = select_backends([{"name": "my-tracker", "url": "here"}]).reporter
    backend: Any = build_backend(spec, config)
    assert (type(backend).__module__, backend.url, backend.retries) == (user_module, "here", 3)


def test_from_config_is_preferred(user_module: str, config: TrainConfig) -> None:
    """A class with from_config is given the configuration, and options of its constructor still count."""
    (spec,) = select_backends([{"name": f"{user_module}:Configured", "retries": 5}]).reporter
    backend: Any = build_backend(spec, config)
    assert (backend.url, backend.retries) == ("cats", 5)


def test_a_backend_may_take_any_option(user_module: str, config: TrainConfig) -> None:
    """The options of a constructor with ** are not restricted."""
    (spec,) = select_backends([{"name": f"{user_module}:AnyOption", "a": 1}]).reporter
    backend: Any = build_backend(spec, config)
    assert backend.options == {"a": 1}


@pytest.mark.parametrize(
    ("logger", "message"),
    [
        ("tensorbord", r"loggers\[1\]: 'tensorbord' is no known logger; did you mean tensorboard\?; known: .*wandb"),
        ({"name": "wandb", "projct": "p"}, r"loggers\[1\]\.projct: .* did you mean project\?; allowed: run, project"),
        ({"name": "wandb", "mode": "offline"}, "mode: allowed only together with the option project"),
        ({"name": "{module}:Plain"}, r"loggers\[1\]: .* needs the option 'url'"),
        ({"project": "p"}, r"loggers\[1\]\.name: got None"),
        ("{module}:Plane", "cannot load .* has no attribute 'Plane'"),
        ("no_such_module:Plain", "No module named 'no_such_module'"),
        ("{module}:", "cannot load"),
        (":Plain", "cannot load"),
        ("{module}:NOT_CALLABLE", "is a int; allowed: a class or factory"),
        (3, r"loggers\[1\]: 3 lacks name, write, write_scalars, close; allowed: "),
        (MemoryBackend, "is a class, not an instance"),
        ("memory", "'memory' is named twice"),
    ],
)
def test_a_wrong_entry_is_named(logger: Any, message: str, user_module: str) -> None:
    """An entry that cannot work raises ConfigError with its position, what was given and what is allowed."""
    if isinstance(logger, str):
        logger = logger.format(module=user_module)
    elif isinstance(logger, dict) and "name" in logger:
        logger = {**logger, "name": logger["name"].format(module=user_module)}
    with pytest.raises(ConfigError, match=message):
        select_backends(["memory", logger])


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("NeedsSdk", r'sdk_that_nobody_installed.*pip install "my-tracker\[sdk\]"'),
        ("NeedsFolder", 'only_a_folder.*pip install "only-a-folder"'),
    ],
)
def test_a_missing_sdk_is_said_with_the_pip_command(name: str, message: str, user_module: str) -> None:
    """A missing package raises before training, and a mere folder of its name does not pass for it."""
    with pytest.raises(MissingExtraError, match=message):
        select_backends([f"{user_module}:{name}"])


def test_the_trackers_own_extras_are_named() -> None:
    """The pip command of our own backends installs the extra."""
    from loss_logging.integrations.loggers.tensorboard import TensorBoardBackend
    from loss_logging.integrations.loggers.wandb import WandbBackend

    assert WandbBackend.requirements() == Requirements({"wandb": "loss-logging[wandb]"}, trainer_process=True)
    assert TensorBoardBackend.requirements() == Requirements({"tensorboard": "loss-logging[tensorboard]"})
    assert TensorBoardBackend.requirements(writer=object()) == Requirements({}, trainer_process=True)  # type: ignore[arg-type]


def test_selecting_imports_no_sdk() -> None:
    """Checking the configuration leaves the trackers' SDKs and torch alone."""
    code = (
        "import sys; from loss_logging.trackers.backends import select_backends; "
        "select_backends(['tensorboard', {'name': 'wandb', 'project': 'p'}]); "
        "print(sorted({'wandb', 'tensorboard', 'torch'} & set(sys.modules)))"
    )
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == "[]"


def test_integrations_has_one_name() -> None:
    """Imported under its bare name the package refuses, since its classes would exist twice."""
    code = "import integrations"
    result = subprocess.run(
        [sys.executable, "-c", code], cwd=Path(__file__).parents[2], capture_output=True, text=True, check=False
    )
    assert "import this package as loss_logging.integrations, not as integrations" in result.stderr
