"""loss_logging.integrations.engines.ray, on a real Ray on this machine"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import ray
import ray.data
from ray_model import Denoiser, Rows, Watched, batches, rows

from loss_logging import evaluate_dataset
from loss_logging.errors import ConfigError, LossLoggingError, MissingExtraError
from loss_logging.integrations.engines.ray import connected
from loss_logging.ray_config import RayConfig
from loss_logging.record_log import RecordLog

pytestmark = [
    pytest.mark.xdist_group("ray"),
    pytest.mark.filterwarnings("ignore::Warning:ray.data.context"),  # Ray's own, on every use of it
]


@pytest.fixture(scope="module", autouse=True)
def cluster() -> Iterator[None]:
    """Ray on this machine, for the whole module."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        patch.setenv("PYTHONPATH", os.pathsep.join([str(Path(__file__).parents[3]), str(Path(__file__).parent)]))
        ray.init(
            address="local",
            num_cpus=2,
            include_dashboard=False,
            object_store_memory=80 * 2**20,
            logging_level=logging.WARNING,
        )
        logging.getLogger("ray.data").setLevel(logging.WARNING)
        yield
        ray.shutdown()


def dataset(data: Rows, block: int = 10) -> ray.data.Dataset:
    """The rows in blocks."""
    return ray.data.from_arrow([pa.Table.from_pylist(data[i : i + block]) for i in range(0, len(data), block)])


def on_ray(compute: Any, data: Rows, root: Path, actors: int = 1, batch_size: int = 5, **options: Any) -> pa.Table:
    """The records of an evaluation."""
    engine = RayConfig(actors=actors, num_cpus=0.5, batch_size=batch_size)
    return evaluate(compute, dataset(data), root, engine=engine, **options)


def evaluate(compute: Any, loader: Any, root: Path, **options: Any) -> pa.Table:
    """The records, as they are in the log."""
    evaluate_dataset(compute, loader, save_root=root, **{"progress": False, "draws": 2} | options)
    return RecordLog(root / "loss_logging" / "records" / "evaluation").read()


def asked(root: Path) -> list[str]:
    """Items and draws that were computed."""
    return (root / "asked").read_text().splitlines()


@pytest.mark.parametrize("actors", [1, 2])
def test_the_same_records_as_the_local_engine(tmp_path: Path, actors: int) -> None:
    """Every record is the same, bit for bit, in any number of actors."""
    options: dict[str, Any] = {"paired": True, "seed": 3, "sample_fraction": 0.7}
    expected = evaluate(Denoiser, batches(rows(60), 8), tmp_path / "local", **options)
    got = on_ray(Denoiser, rows(60), tmp_path / "ray", actors, **options)
    assert 60 < got.num_rows < 120
    assert got.equals(expected)


@pytest.mark.parametrize("changes", [{"max_samples": 25}, {"max_samples": 10, "sample_fraction": 0.5}], ids=str)
def test_the_same_items_as_the_local_engine(tmp_path: Path, changes: dict[str, Any]) -> None:
    """A fraction and a limit take the items that they take locally."""
    compute = partial(Watched, tmp_path)
    expected = evaluate(compute, batches(rows(60), 8), tmp_path / "local", **changes)
    assert on_ray(compute, rows(60), tmp_path / "ray", **changes).equals(expected)


def test_a_killed_actor(tmp_path: Path) -> None:
    """An actor that dies costs its unfinished block alone; no record is missing, and none is there twice."""
    compute = partial(Watched, tmp_path, at="033.png", does="die once")
    got = on_ray(compute, rows(100), tmp_path / "ray", 2)
    assert (tmp_path / "died").exists()
    assert len(asked(tmp_path)) <= 200 + 2 * 20  # a block is 20 items
    assert got.equals(evaluate(partial(Watched, tmp_path), batches(rows(100), 8), tmp_path / "local"))


def test_a_batch_that_no_actor_survives(tmp_path: Path) -> None:
    """It ends the evaluation with a message that names it; what was computed is kept, and the next call goes on."""
    with pytest.raises(LossLoggingError, match=r"from '070\.png' on have ended the process that computed them 3 times"):
        on_ray(partial(Watched, tmp_path, at="071.png", does="die", pause=0.2), rows(80), tmp_path / "ray")
    before = set(asked(tmp_path))
    assert len(before) >= 100
    (tmp_path / "asked").unlink()
    got = on_ray(partial(Watched, tmp_path), rows(80), tmp_path / "ray", 2)
    again = asked(tmp_path)
    assert len(again) <= 160 - 2 * 40  # whole blocks were kept
    assert got.equals(evaluate(partial(Watched, tmp_path), batches(rows(80), 8), tmp_path / "local"))


def test_an_error_of_the_model(tmp_path: Path) -> None:
    """An exception comes out as it is, with the actor's traceback; what was computed is kept, for either engine."""
    with pytest.raises(MemoryError, match="no room for the batch") as raised:
        on_ray(partial(Watched, tmp_path, at="061.png", does="raise", pause=0.1), rows(80), tmp_path / "ray")
    assert "in _misbehave" in str(raised.value.__cause__)
    (tmp_path / "asked").unlink()
    got = evaluate(partial(Watched, tmp_path), batches(rows(80), 8), tmp_path / "ray")
    assert len(asked(tmp_path)) < 160
    assert got.equals(evaluate(partial(Watched, tmp_path), batches(rows(80), 8), tmp_path / "local"))


def test_items_that_come_several_times(tmp_path: Path) -> None:
    """Interrupted between two captions of an image, it goes on with all of them, and no record is there twice."""
    data = rows(40)
    twice = data + [row | {"caption": "another caption"} for row in data]
    with pytest.raises(MemoryError):
        evaluate(partial(Watched, tmp_path, at="030.png", does="raise"), batches(twice, 5), tmp_path / "ray")
    got = on_ray(partial(Watched, tmp_path), twice, tmp_path / "ray")
    assert got.equals(evaluate(partial(Watched, tmp_path), batches(twice, 8), tmp_path / "local"))


def test_what_ray_cannot_evaluate(tmp_path: Path) -> None:
    """Another loader, a dataset without path and an engine of another name are refused, and say what is allowed."""
    with pytest.raises(ConfigError, match=r"dataloader is a list; engine='ray' takes a ray\.data\.Dataset"):
        evaluate_dataset(Denoiser, batches(rows(5), 5), engine="ray", progress=False)
    with pytest.raises(ValueError, match="the dataset has the columns name; expected one named 'path'"):
        on_ray(partial(Watched, tmp_path), [{"name": "a"}], tmp_path)
    with pytest.raises(ConfigError, match="allowed: 'local', 'ray', or a RayConfig"):
        evaluate_dataset(Denoiser, [], engine="spark", progress=False)  # type: ignore[arg-type]


def test_without_ray(monkeypatch: pytest.MonkeyPatch) -> None:
    """The message holds the pip command."""
    monkeypatch.setattr("loss_logging.cli.find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match=r'this needs the package ray; run: pip install "loss-logging\[ray\]"'):
        evaluate_dataset(Denoiser, [], engine="ray", progress=False)


@pytest.mark.parametrize("address", ["127.0.0.1:9", "ray://nowhere.invalid:10001"])
def test_no_cluster(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A cluster that does not answer is named, within seconds."""
    monkeypatch.setattr("ray.is_initialized", lambda: False)
    with (
        pytest.raises(LossLoggingError, match=f"no Ray cluster answers at '{address}'"),
        connected(RayConfig(address=address)),
    ):
        pass
