from __future__ import annotations

from pathlib import Path

import pytest

from loss_logging.integrations.trainers.settings import read_settings


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.toml", "[loss_logging]\ntop_k = 3"),
        ("a.yaml", "loss_logging: {top_k: 3}"),
        ("a.json", '{"loss_logging": {"top_k": 3}}'),
    ],
)
def test_a_section_is_read_whichever_way_it_is_written(name: str, text: str, tmp_path: Path) -> None:
    """TOML, YAML and JSON give the same; no file is a section with the defaults."""
    (tmp_path / name).write_text(text)
    assert read_settings(str(tmp_path / name)) == {"loss_logging": {"top_k": 3}}
    assert read_settings(None) == {"loss_logging": True}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("loss_logging: {top_kk: 3}", "did you mean top_k"),
        ("loss_logging: false", "missing or off"),
        ("{}", "missing or off"),
        ("{", "is not YAML"),
        ("[1]", ""),
        (None, "No such file"),
    ],
)
def test_what_cannot_be_used_is_said_and_stops_nothing(
    text: str | None, said: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """None, and a sentence that names the file and says that training goes on."""
    if text is not None:
        (tmp_path / "a.yaml").write_text(text)
    assert read_settings(str(tmp_path / "a.yaml")) is None
    (record,) = caplog.records
    assert "a.yaml" in record.getMessage()
    assert said in record.getMessage()
    assert "training goes on" in record.getMessage()
