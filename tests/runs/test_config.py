"""loss_logging.runs.config"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml
from configs import build
from hypothesis import given
from hypothesis import strategies as st

from loss_logging import TrainConfig
from loss_logging.errors import ConfigError
from loss_logging.runs.locate import config_of

FULL: dict[str, Any] = {
    "job_name": "cats v2 (été)",
    "save_root": "runs/cats",
    "loggers": ["tensorboard", {"name": "wandb", "project": "cats", "mode": "offline"}, "my_package.loggers:Mine"],
    "log_per_example": False,
    "sample_fraction": 0.5,
    "max_records_per_step": 100,
    "log_every": 10,
    "keep_reports": 3,
    "reporter": "inline",
    "memory_limit": "1.5GB",
    "threads": 2,
    "prefix": "quality/loss_logging",
    "timestep_scale": 1000,
    "seed": 7,
    "timeouts": {"flush": 1},
    "pictures": {"most": 8, "load": "my_data:load"},
}


class Tracker:
    name = "mine"

    def write(self, report: object) -> None: ...

    def close(self) -> None: ...


def test_the_four_forms_are_equal(tmp_path: Path) -> None:
    """Keywords, a mapping, a YAML and a JSON file with the same content give equal configurations."""
    (tmp_path / "train.yaml").write_text(yaml.safe_dump(FULL, allow_unicode=True), encoding="utf-8")
    (tmp_path / "train.json").write_text(json.dumps(FULL), encoding="utf-8")
    keywords = TrainConfig(**FULL)
    assert TrainConfig.from_dict(FULL) == keywords
    assert TrainConfig.from_file(tmp_path / "train.yaml") == keywords
    assert TrainConfig.from_file(str(tmp_path / "train.json")) == keywords
    assert keywords.timestep_scale == 1000.0
    assert isinstance(keywords.timestep_scale, float)


def test_defaults() -> None:
    """Two keys suffice; the defaults are the documented ones."""
    config = build()
    assert config.loggers == ["tensorboard"]
    assert config.sample_fraction == 1.0
    assert (config.log_every, config.save_every, config.top_k, config.max_table_rows) == (50, 250, 10, 500)
    assert config.reporter == "process"
    assert config.enabled


def test_to_dict_survives_json() -> None:
    """to_dict is plain JSON data that builds the same configuration again."""
    config = TrainConfig(**FULL)
    assert TrainConfig.from_dict(json.loads(json.dumps(config.to_dict()))) == config


def test_to_dict_names_instances() -> None:
    """A backend instance is shown by its name."""
    assert build(loggers=["tensorboard", Tracker()]).to_dict()["loggers"] == ["tensorboard", "mine"]


@pytest.mark.parametrize(
    ("per_example", "per_dataset", "enabled"), [(True, True, True), (False, True, True), (False, False, False)]
)
def test_enabled(per_example: bool, per_dataset: bool, enabled: bool) -> None:
    """Only switching both off switches logging off."""
    assert build(log_per_example=per_example, log_per_dataset=per_dataset).enabled is enabled


IMPOSSIBLE: list[tuple[str, Any]] = [
    ("job_name", ""),
    ("job_name", "a/b"),
    ("job_name", "a\\b"),
    ("job_name", "a..b"),
    ("job_name", ".hidden"),
    ("job_name", "a\nb"),
    ("job_name", "a\n"),
    ("job_name", "a\0b"),
    ("job_name", "a\ud800b"),
    ("job_name", "é" * 101),
    ("job_name", 3),
    ("job_name", None),
    ("save_root", ""),
    ("save_root", None),
    ("save_root", "a\0b"),
    ("loggers", "tensorboard"),
    ("loggers", {"name": "wandb"}),
    ("loggers", None),
    ("log_per_example", "yes"),
    ("log_per_dataset", 1),
    ("sample_fraction", 0),
    ("sample_fraction", 1.01),
    ("sample_fraction", -0.1),
    ("sample_fraction", float("nan")),
    ("sample_fraction", "0.5"),
    ("sample_fraction", True),
    ("max_records_per_step", 0),
    ("log_every", 0),
    ("log_every", 2.5),
    ("log_every", True),
    ("save_every", -1),
    ("top_k", "10"),
    ("max_table_rows", 0),
    ("keep_reports", 0),
    ("reporter", "thread"),
    ("memory_limit", "lots"),
    ("memory_limit", "0GB"),
    ("memory_limit", "1GB; DROP TABLE x"),
    ("memory_limit", 1_000_000),
    ("threads", 0),
    ("prefix", ""),
    ("prefix", "loss logging"),
    ("prefix", "/loss"),
    ("timestep_scale", 0),
    ("timestep_scale", float("inf")),
    ("seed", -1),
    ("timeouts", {"flush": 0}),
    ("timeouts", {"flush": float("inf")}),
    ("timeouts", {"close": -1}),
    ("timeouts", {"clos": 1}),
    ("timeouts", 3),
    ("timeouts", None),
    ("pictures", {"most": 65}),
    ("pictures", {"load": "load"}),
    ("captions", 3),
    ("captions", None),
]


@pytest.mark.parametrize(("key", "value"), IMPOSSIBLE)
def test_impossible_values(key: str, value: Any) -> None:
    """Every form refuses a wrong type or an impossible value with the key, and with the value where it has one."""
    with pytest.raises(ConfigError) as by_keyword:
        build(**{key: value})
    with pytest.raises(ConfigError) as by_mapping:
        TrainConfig.from_dict({"job_name": "job", "save_root": "runs", key: value})
    assert str(by_keyword.value) == str(by_mapping.value)
    assert re.match(rf"\$\.{key}(\.\w+)?(: | is no configuration key)", str(by_keyword.value))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"log_evry": 5}, "$.log_evry is no configuration key; did you mean log_every?"),
        ({"sample_fraction": 2}, "$.sample_fraction: got 2 (int); allowed: a number above 0 and up to 1"),
        ({"keep_reports": "x"}, "$.keep_reports: got 'x' (str); allowed: a whole number, 1 or more or null (None)"),
        (
            {"reporter": "proces"},
            """$.reporter: got 'proces' (str); allowed: "process" or "inline"; did you mean process?""",
        ),
        ({"loggers": [{"nam": "wandb"}]}, "$.loggers[0].name is missing (there is nam)"),
        ({"loggers": ["tensorboard", 3]}, "$.loggers[1]: got 3 (int); allowed: a name such as"),
        ({"loggers": [{"name": 3}]}, "$.loggers[0].name: got 3 (int); allowed: a name such as"),
        ({"loggers": [" "]}, "$.loggers[0]: got ' ' (str); allowed: a name such as"),
        ({"captions": {"not_a_key": 1}}, "$.captions.not_a_key is no configuration key; allowed: "),
    ],
)
def test_messages(changes: dict[str, Any], message: str) -> None:
    """A refusal says where, what was given, what is allowed, and the near miss."""
    with pytest.raises(ConfigError) as error:
        TrainConfig.from_dict({"job_name": "job", "save_root": "runs", **changes})
    assert str(error.value).startswith(message)


def test_unknown_key_without_a_near_miss_lists_the_keys() -> None:
    """A key that resembles none gets the whole list."""
    with pytest.raises(ConfigError, match=r"\$\.zzz is no configuration key; allowed: job_name, save_root, loggers"):
        TrainConfig.from_dict({"job_name": "job", "save_root": "runs", "zzz": 1})


def test_missing_and_unknown_keywords() -> None:
    """Keywords behave as in any Python call; a mapping names the missing key."""
    with pytest.raises(TypeError, match="log_evry"):
        build(log_evry=5)
    with pytest.raises(ConfigError, match=r"\$\.save_root is missing"):
        TrainConfig.from_dict({"job_name": "job"})
    with pytest.raises(ConfigError, match="allowed: a mapping"):
        TrainConfig.from_dict(["job_name"])  # type: ignore[arg-type]


@given(st.text())
def test_job_name_is_one_file_name_or_refused(name: str) -> None:
    """Whatever the text, an accepted job name stays one component inside out_dir."""
    try:
        config = build(job_name=name)
    except ConfigError:
        return
    path = config.report_path(1)
    assert path.parent == config.out_dir
    assert len(path.name.encode()) <= 255
    assert path.resolve().parent == config.out_dir.resolve()


@pytest.mark.filterwarnings("ignore:pictures is now")  # which was a number
@given(
    st.dictionaries(
        st.sampled_from([field.name for field in msgspec.structs.fields(TrainConfig)]),
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.lists(st.text(max_size=3)),
    )
)
def test_from_dict_accepts_or_raises_config_error(changes: dict[str, Any]) -> None:
    """No content of a mapping raises anything but ConfigError, and what is accepted survives a round trip."""
    try:
        config = TrainConfig.from_dict({"job_name": "job", "save_root": "runs", **changes})
    except ConfigError:
        return
    assert TrainConfig.from_dict(json.loads(json.dumps(config.to_dict()))) == config


def test_importing_the_config_is_light() -> None:
    """Importing TrainConfig loads no array library, no column store, and no rule for captions."""
    heavy = "{'numpy', 'pyarrow', 'duckdb', 'torch', 'loss_logging.captions.rules'}"
    code = f"import sys; from loss_logging import TrainConfig; print(sorted({heavy} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


def test_a_section_of_another_configuration() -> None:
    """The section goes before what the program knows; True stands for the defaults, False and null for off."""
    known = {"job_name": "a", "save_root": "b", "top_k": 3}
    config = TrainConfig.from_section({"loss_logging": {"top_k": 5}}, **known)
    assert config is not None
    assert (config.job_name, config.top_k) == ("a", 5)
    assert TrainConfig.from_section({"loss_logging": True}, **known) == TrainConfig.from_dict(known)
    assert TrainConfig.from_section({"loss_logging": False}, **known) is None
    assert TrainConfig.from_section({"loss_logging": None}, **known) is None


@pytest.mark.parametrize(
    ("mapping", "message"),
    [
        ({"loss_logging": {"log_evry": 5}}, r"^\$\.loss_logging\.log_evry is no .*did you mean log_every"),
        ({"loss_loging": {}}, r"^\$\.loss_loging is no section.*did you mean loss_logging"),
        ({"loss_logging": "yes"}, r"^\$\.loss_logging: got 'yes'"),
        ({"loss_logging": {"top_k": 0}}, r"^\$\.loss_logging\.top_k: got 0"),
    ],
)
def test_a_bad_section_is_refused(mapping: dict[str, Any], message: str) -> None:
    """A section with a typo, in its name or in a key, is an error that says where it is."""
    with pytest.raises(ConfigError, match=message):
        TrainConfig.from_section(mapping, job_name="a", save_root="b")


OLD = [
    ("flush_seconds", 3600, {"timeouts": {"flush": 3600}}),
    ("rank_timeout_seconds", 2, {"timeouts": {"ranks": 2}}),
    ("close_timeout_seconds", 9, {"timeouts": {"close": 9}}),
    ("pictures", 3, {"pictures": {"most": 3}}),
    ("load_image", "my_data:load", {"pictures": {"load": "my_data:load"}}),
    ("existing", "refuse", {}),
    ("overload", "drop", {}),
]


@pytest.mark.parametrize(("old", "value", "new"), OLD)
def test_old_spellings_work_with_a_warning(old: str, value: Any, new: dict[str, Any], tmp_path: Path) -> None:
    """A key of the release before is read as keyword, from a mapping and from a file; the warning names the new one
    and the user's own line."""
    path = tmp_path / "train.yaml"
    path.write_text(yaml.safe_dump({"job_name": "job", "save_root": "runs", old: value}))
    for make in (
        lambda: TrainConfig(**{"job_name": "job", "save_root": "runs", old: value}),
        lambda: TrainConfig.from_dict({"job_name": "job", "save_root": "runs", old: value}),
        lambda: TrainConfig.from_file(path),
    ):
        with pytest.warns(DeprecationWarning, match=f"^{old} (is now|has no effect)") as said:
            assert make() == build(**new)
        assert [warning.filename for warning in said] == [__file__]


def test_old_spellings_of_several_keys_meet_in_one_group() -> None:
    """Old keys of one group go together with each other and with new keys of the group."""
    with pytest.warns(DeprecationWarning, match="is now"):
        config = build(flush_seconds=1, close_timeout_seconds=2, timeouts={"ranks": 3}, pictures=4, load_image="a:b")
    assert config == build(timeouts={"flush": 1, "close": 2, "ranks": 3}, pictures={"most": 4, "load": "a:b"})
    with pytest.raises(ConfigError, match=r"\$\.flush_seconds: timeouts\.flush is given, too"):
        build(flush_seconds=1, timeouts={"flush": 2})


def test_old_attributes_are_read_with_a_warning() -> None:
    """A backend that asks for a key by its old name gets its value; a name that there never was is an error."""
    config = build(timeouts={"flush": 7})
    with pytest.warns(DeprecationWarning, match=r"flush_seconds is now timeouts\.flush"):
        assert config.flush_seconds == 7
    with pytest.raises(AttributeError, match="flush_secnds"):
        config.flush_secnds  # noqa: B018


def test_reports_of_the_release_before_are_read_without_a_warning(tmp_path: Path) -> None:
    """What wrote the old spelling is an old run, and no user of today."""
    old = {"job_name": "job", "save_root": "elsewhere", "flush_seconds": 3, "pictures": 2, "unknown": 1}
    config = config_of(build(save_root=tmp_path), old)
    assert (config.timeouts.flush, config.pictures.most, config.save_root) == (3, 2, tmp_path)
