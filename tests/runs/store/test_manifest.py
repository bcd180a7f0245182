from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
from object_stores import MEMORY, manifest, train

from loss_logging.errors import LossLoggingError
from loss_logging.runs.store.download import StoredRun
from loss_logging.runs.store.manifest import Entry, Manifest, jobs_in, manifest_name, read_manifest
from loss_logging.support.object_store import ObjectStore

pytestmark = pytest.mark.usefixtures("empty_store")


def test_a_manifest_that_leads_out(tmp_path: Path) -> None:
    """Whoever can write to the bucket cannot write elsewhere on the machines of its readers."""
    train(MEMORY, tmp_path / "spool", 1)
    found = manifest(MEMORY)
    entry = found.files["cats_000000001.json"]
    evil = msgspec.structs.replace(found, files={"../../../cats_000000001.json": entry, "records/../../../x": entry})
    ObjectStore(MEMORY).write(manifest_name("cats"), msgspec.json.encode(evil))
    with pytest.raises(LossLoggingError, match="leads out of the run"):
        StoredRun(MEMORY, folder=tmp_path / "copy" / "here").fetch()
    assert not list(tmp_path.rglob("x"))


def test_a_manifest_is_read_back_and_others_are_refused() -> None:
    """None where there is none; one that is damaged, or of another version, is named."""
    import msgspec

    store, name = ObjectStore("memory://store/run"), manifest_name("cats")
    assert read_manifest(store, name) is None
    written = Manifest(job="cats", version="1", created="2026-01-01T00:00:00Z", files={"a": Entry("k", 1, "00")})
    store.write(name, msgspec.json.encode(written))
    store.write(manifest_name("dogs"), b"{}")
    assert read_manifest(store, name) == written
    assert jobs_in(store) == ["cats", "dogs"]
    with pytest.raises(LossLoggingError, match=r"dogs\.manifest\.json is no manifest that this version can read"):
        read_manifest(store, manifest_name("dogs"))
    store.write(name, msgspec.json.encode(written).replace(b"manifest/1", b"manifest/2"))
    with pytest.raises(LossLoggingError, match="that this version can read"):
        read_manifest(store, name)
