from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import msgspec
import pytest
from configs import build
from hypothesis import given
from hypothesis import strategies as st

from loss_logging import TrainConfig
from loss_logging.errors import ConfigError
from loss_logging.support.checked_config import CheckedConfig, Count, Share, check_section


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.yaml", "job_name: [", "is not YAML"),
        ("a.json", "{", "is not JSON"),
        ("a.yml", "", "got None"),
        ("a.toml", "top_k = ", "is not TOML"),
        ("a.ini", "", r"allowed: \.yaml, \.yml, \.json, \.toml"),
        ("a.yaml", "job_name: a\nsave_root: b\ntop_k: many", r"\$\.top_k: got 'many'"),
    ],
)
def test_bad_files(tmp_path: Path, name: str, content: str, message: str) -> None:
    """A file that holds no configuration is refused with its own path in front."""
    (tmp_path / name).write_text(content, encoding="utf-8")
    with pytest.raises(ConfigError, match=message) as error:
        TrainConfig.from_file(tmp_path / name)
    assert str(error.value).startswith(str(tmp_path / name))


def test_missing_file(tmp_path: Path) -> None:
    """A file that does not exist raises what open() raises."""
    with pytest.raises(FileNotFoundError):
        TrainConfig.from_file(tmp_path / "none.yaml")


def test_is_frozen() -> None:
    """A configuration cannot change under a running job, and changing the caller's list does not change it."""
    loggers = ["tensorboard"]
    config = build(loggers=loggers)
    loggers.append("wandb")
    assert config.loggers == ["tensorboard"]
    with pytest.raises(AttributeError):
        config.top_k = 3  # type: ignore[misc]


def test_replace_checks_too() -> None:
    """msgspec.structs.replace gives a checked copy."""
    assert msgspec.structs.replace(build(), top_k=3).top_k == 3
    with pytest.raises(ConfigError):
        msgspec.structs.replace(build(), top_k=0)


class Inner(CheckedConfig, frozen=True, kw_only=True):
    """A group of keys."""

    count: Count = 1
    share: Share = 0.5


class Outer(CheckedConfig, frozen=True, kw_only=True):
    """A configuration with a group, and a key of the release before."""

    _old_keys = {"number": "inner.count", "gone": ""}  # noqa: RUF012
    name: str
    inner: Inner = Inner()

    @classmethod
    def _checks(cls) -> Mapping[str, object]:  # type: ignore[override]
        return {"inner": check_section}


@given(st.integers() | st.floats(allow_nan=True) | st.text(max_size=5) | st.none() | st.booleans())
def test_keywords_and_mappings_take_the_same_values(value: object) -> None:
    """What one form takes the other takes, too, with the same result; what it refuses is named by its place."""

    def built(build: object) -> object:
        try:
            return build()  # type: ignore[operator]
        except ConfigError as error:
            return str(error)

    by_keyword = built(lambda: Inner(count=value))  # type: ignore[arg-type]
    assert by_keyword == built(lambda: Inner.from_dict({"count": value}))
    if isinstance(by_keyword, str):
        assert by_keyword.startswith("$.count: got ")
        assert "allowed: a whole number, 1 or more" in by_keyword


def test_errors_inside_a_group_name_the_whole_place() -> None:
    """Of a value and of a key that is none, with a near miss."""
    with pytest.raises(ConfigError, match=r"^\$\.inner\.share: got 2 "):
        Outer(name="a", inner={"share": 2})  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match=r"^\$\.inner\.shar is no configuration key; did you mean share\?"):
        Outer.from_dict({"name": "a", "inner": {"shar": 0.5}})
    with pytest.raises(ConfigError, match=r"^\$\.name is missing"):
        Outer.from_dict({})


def test_an_old_key_goes_to_its_new_place() -> None:
    """With a warning at the caller's line; what is given in both spellings is refused."""
    with pytest.warns(DeprecationWarning, match=r"number is now inner\.count") as seen:
        config = Outer(name="a", number=3)  # type: ignore[call-arg]
    assert seen[0].filename == __file__
    assert config == Outer(name="a", inner=Inner(count=3))
    with pytest.warns(DeprecationWarning, match="gone has no effect"):
        assert Outer(name="a", gone=1) == Outer(name="a")  # type: ignore[call-arg]
    with pytest.raises(ConfigError, match=r"\$\.number: inner\.count is given, too"):
        Outer(name="a", number=3, inner={"count": 4})  # type: ignore[call-arg, arg-type]
