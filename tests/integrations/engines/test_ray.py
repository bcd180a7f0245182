"""loss_logging.integrations.engines.ray, on a real Ray on this machine"""

from __future__ import annotations

import logging
import os
import re
import subprocess
import sys
import tarfile
import textwrap
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pyarrow as pa
import pytest
import ray
import ray.data
from PIL import Image
from ray_model import Brightness, Denoiser, Rows, Watched, batches, rows
from waiting import wait_until

from loss_logging import LossReport, evaluate_dataset
from loss_logging.captions.folder.read import read_captioned_folder
from loss_logging.captions.folder.webdataset import find_shards, read_shard
from loss_logging.errors import ConfigError, LossLoggingError
from loss_logging.evaluation.image_batches import ImageBatches
from loss_logging.evaluation.ray_config import RayConfig
from loss_logging.integrations.engines.ray import connected, lacking
from loss_logging.integrations.engines.ray_images import shard_rows
from loss_logging.integrations.engines.ray_worker import chosen
from loss_logging.records.log import RecordLog

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


SMALL = RayConfig(num_cpus=0.5, batch_size=2)


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
    return records(root)


def records(root: Path) -> pa.Table:
    """What an evaluation has logged."""
    return RecordLog(root / "loss_logging" / "records" / "evaluation").read()


def asked(root: Path) -> list[str]:
    """Items and draws that were computed."""
    return (root / "asked").read_text().splitlines()


@pytest.mark.parametrize("does", ["", pytest.param("die once", marks=pytest.mark.long)])
def test_the_same_records_as_the_local_engine(tmp_path: Path, does: str) -> None:
    """Every record is the same, bit for bit, in two actors; where one dies, that costs its unfinished block alone."""
    options: dict[str, Any] = {"paired": True, "seed": 3, "draws": 2, "sample_fraction": 0.8}
    data = rows(80)
    expected = evaluate(partial(Denoiser, tmp_path / "local"), batches(data, 8), tmp_path / "local", **options)
    compute = partial(Denoiser, tmp_path, at="035.png" if does else "", does=does)
    got = on_ray(compute, data, tmp_path / "ray", 2, **options)
    assert (tmp_path / "died").exists() == bool(does)
    assert 100 < got.num_rows <= len(asked(tmp_path)) <= got.num_rows + 2 * 20  # a block is 20 items
    assert got.equals(expected)


@pytest.mark.long
def test_the_same_items_as_the_local_engine(tmp_path: Path) -> None:
    """A fraction and a limit take the items that they take locally."""
    changes = {"max_samples": 10, "sample_fraction": 0.5}
    compute = partial(Watched, tmp_path)
    expected = evaluate(compute, batches(rows(60), 8), tmp_path / "local", **changes)
    assert on_ray(compute, rows(60), tmp_path / "ray", **changes).equals(expected)


@pytest.mark.long
def test_a_batch_that_no_actor_survives(tmp_path: Path) -> None:
    """It ends the evaluation with a message that names it; what was computed is kept, and the next call goes on."""
    with pytest.raises(LossLoggingError, match=r"from '070\.png' on have ended the process that computed them 3 times"):
        on_ray(partial(Watched, tmp_path, at="071.png", does="die", pause=0.2), rows(80), tmp_path / "ray")
    assert len(asked(tmp_path)) >= 120
    (tmp_path / "asked").unlink()
    got = on_ray(partial(Watched, tmp_path), rows(80), tmp_path / "ray")
    again = asked(tmp_path)
    assert len(again) <= 160 - 2 * 40  # whole blocks were kept
    assert got.equals(evaluate(partial(Watched, tmp_path), batches(rows(80), 8), tmp_path / "local"))


@pytest.mark.long
def test_an_error_of_the_model(tmp_path: Path) -> None:
    """An exception comes out as it is, with the actor's traceback; what was computed is kept, for either engine."""
    with pytest.raises(MemoryError, match="no room for the batch") as raised:
        on_ray(partial(Watched, tmp_path, at="061.png", does="raise", pause=0.1), rows(80), tmp_path / "ray")
    assert "in _misbehave" in str(raised.value.__cause__)
    (tmp_path / "asked").unlink()
    got = evaluate(partial(Watched, tmp_path), batches(rows(80), 8), tmp_path / "ray")
    assert len(asked(tmp_path)) < 160
    assert got.equals(evaluate(partial(Watched, tmp_path), batches(rows(80), 8), tmp_path / "local"))


@pytest.mark.long
def test_items_that_come_several_times(tmp_path: Path) -> None:
    """Interrupted between two captions of an image, it goes on with all of them, and no record is there twice."""
    data = rows(40)
    twice = data + [row | {"caption": "another caption"} for row in data]
    with pytest.raises(MemoryError):
        evaluate(partial(Watched, tmp_path, at="030.png", does="raise"), batches(twice, 5), tmp_path / "ray")
    got = on_ray(partial(Watched, tmp_path), twice, tmp_path / "ray")
    assert got.equals(evaluate(partial(Watched, tmp_path), batches(twice, 8), tmp_path / "local"))


def test_what_ray_cannot_evaluate() -> None:
    """Another loader, a dataset without path and an engine of another name are refused, and say what is allowed."""
    with pytest.raises(ConfigError, match=r"dataloader is a list; engine='ray' takes a ray\.data\.Dataset"):
        evaluate_dataset(Brightness, batches(rows(5), 5), engine="ray", progress=False)
    with pytest.raises(ValueError, match="the dataset has the columns name; expected one named 'path'"):
        chosen(0.5, 0, pa.table({"name": ["a"]}))
    with pytest.raises(ConfigError, match="there is no engine 'spark'; allowed: 'local', 'ray'"):
        evaluate_dataset(Brightness, [], engine="spark", progress=False)


TOO_MANY = [
    pytest.param(RayConfig(actors=900), r"900 of 1 CPUs each; there are \d+, .* smaller num_cpus", id="CPUs"),
    pytest.param(RayConfig(actors=900, num_gpus=8), r"900 of 8 GPUs each; .* smaller num_gpus", id="GPUs"),
]


@pytest.mark.parametrize(("config", "message"), TOO_MANY)
def test_more_actors_than_a_cluster_has_room_for(
    config: RayConfig, message: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Somebody else's cluster may still grow: what is waited for is said."""
    with connected(config):
        assert re.search(rf"\$\.actors: {message}; or see that the cluster grows", caplog.text)
    assert lacking(RayConfig(actors=1)) is None


@pytest.mark.long
@pytest.mark.parametrize(("config", "message"), TOO_MANY)
def test_more_actors_than_this_machine_has_room_for(config: RayConfig, message: str) -> None:
    """They would wait for ever: refused as soon as Ray has been started here."""
    code = f"""
from loss_logging.evaluation.ray_config import RayConfig
from loss_logging.integrations.engines.ray import connected
with connected({config!r}):
    pass
"""
    environment = {name: value for name, value in os.environ.items() if name != "RAY_ADDRESS"}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=120)
    assert re.search(rf"ConfigError: \$\.actors: {message}", done.stderr), done.stderr


def test_without_ray() -> None:
    """The message holds the pip command."""
    code = "import sys; sys.modules['ray'] = None\n" + textwrap.dedent("""
        from loss_logging import evaluate_dataset
        evaluate_dataset(print, [], engine="ray", progress=False)
    """)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert "MissingExtraError: engine ray needs the package ray; run: pip install " in done.stderr
    assert "[ray]" in done.stderr.splitlines()[-1]


@pytest.mark.parametrize("address", ["127.0.0.1:9", "ray://nowhere.invalid:10001"])
def test_no_cluster(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A cluster that does not answer is named, within seconds."""
    monkeypatch.setattr("ray.is_initialized", lambda: False)
    with (
        pytest.raises(LossLoggingError, match=f"no Ray cluster answers at '{address}'"),
        connected(RayConfig(address=address)),
    ):
        pass


@pytest.mark.long
def test_a_killed_driver(tmp_path: Path) -> None:
    """What was computed is kept and not computed again, no record is there twice, and Ray ends with the driver."""
    driver = subprocess.Popen([sys.executable, str(Path(__file__).with_name("driver.py")), str(tmp_path)])

    def is_half_way() -> bool:
        assert driver.poll() is None
        return (tmp_path / "asked").exists() and len(asked(tmp_path)) >= 200

    wait_until(is_half_way, every=0.05)
    processes = psutil.Process(driver.pid).children(recursive=True)
    driver.kill()
    driver.wait()
    _, alive = psutil.wait_procs(processes, timeout=20)
    assert [process.name() for process in alive if "Agent" not in process.name()] == []  # these take half a minute
    for process in alive:
        process.kill()
    (tmp_path / "asked").unlink()
    got = on_ray(partial(Watched, tmp_path), rows(200), tmp_path / "ray", 2)
    assert len(asked(tmp_path)) <= 400 - 200 + 40 * 3  # blocks that were begun are lost
    assert got.equals(evaluate(partial(Watched, tmp_path), batches(rows(200), 8), tmp_path / "local"))


@pytest.mark.long
def test_a_node_that_dies(tmp_path: Path) -> None:
    """The evaluation goes on with what is left of the cluster; no record is missing, and none is there twice."""
    script = str(Path(__file__).with_name("two_nodes.py"))
    done = subprocess.run([sys.executable, script, str(tmp_path)], capture_output=True, text=True, timeout=300)
    assert "nodes: 1" in done.stdout, done.stderr
    assert len(asked(tmp_path)) <= 400 + 4 * 40  # of each actor, a block that computes and one that waits
    local = evaluate(partial(Watched, tmp_path), batches(rows(200), 8), tmp_path / "local")
    assert records(tmp_path / "ray").equals(local)


# --- captioned images -----------------------------------------------------------------------------------------------


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Images with captions and one that does not open, in a folder and in two tar files beside it."""
    random = np.random.default_rng(0)
    (folder := tmp_path / "photos").mkdir()
    for i in range(12):
        Image.fromarray(random.integers(0, 256, (10, 12, 3), dtype=np.uint8)).save(folder / f"{i:02}.png")
        (folder / f"{i:02}.txt").write_text(f"picture {i}\n", "utf-8")
    (folder / "05.png").write_bytes(b"no image")
    (tmp_path / "shards").mkdir()
    for number in range(2):
        with tarfile.open(tmp_path / "shards" / f"{number}.tar", "w") as archive:
            for file in sorted(folder.iterdir())[12 * number : 12 * number + 12]:
                archive.add(file, file.name)
    return tmp_path


def losses(report: LossReport) -> dict[str, Any]:
    """By the name of the image, however it is stored."""
    (found,) = report.datasets.values()
    return {path.rpartition("/")[2]: (item.average_loss, item.caption) for path, item in found.item_stats.items()}


def in_tar_files(folder: Path, engine: Any) -> Any:
    """The images of a folder of tar files, for an engine."""
    if engine != "local":
        return shard_rows(find_shards(folder), folder)
    images = (image for shard in find_shards(folder) for image in read_shard(shard, folder))
    return ImageBatches(images, folder, 8, 2)


@pytest.mark.parametrize("engine", ["local", pytest.param(SMALL, marks=pytest.mark.long)])
def test_images_in_files_and_in_tar_files(photos: Path, engine: Any) -> None:
    """A folder and a WebDataset give the same figures; what does not open is named in each report."""
    folder, shards = photos / "photos", photos / "shards"
    reports = [
        evaluate_dataset(Brightness, ImageBatches(list(read_captioned_folder(folder)), folder, 8, 3), progress=False),
        evaluate_dataset(Brightness, in_tar_files(shards, engine), engine=engine, progress=False),
    ]
    assert len(losses(reports[0])) == 11
    assert losses(reports[0])["03.png"][1] == "picture 3"
    assert losses(reports[1]) == losses(reports[0])
    assert all("1 of 12 images do not open" in report.warnings[-1] for report in reports)
    assert {path.split("/")[0] for path in reports[1].datasets["shards"].item_stats} == {"0.tar", "1.tar"}


@pytest.mark.parametrize("engine", ["local", pytest.param(SMALL, marks=pytest.mark.long)])
def test_a_shard_that_cannot_be_read(photos: Path, tmp_path: Path, engine: Any) -> None:
    """A tar file that is cut short is named, and evaluation goes on once it is whole."""
    folder = photos / "shards"
    whole = (folder / "1.tar").read_bytes()
    (folder / "1.tar").write_bytes(whole[:3_000])
    with pytest.raises(LossLoggingError, match=r"1\.tar cannot be read after \d images \(.+\)"):
        evaluate(Brightness, in_tar_files(folder, engine), tmp_path / "out", engine=engine, draws=1)
    (folder / "1.tar").write_bytes(whole)
    got = evaluate(Brightness, in_tar_files(folder, engine), tmp_path / "out", engine=engine, draws=1)
    assert len(set(got["path"].to_pylist())) == got.num_rows == 11
