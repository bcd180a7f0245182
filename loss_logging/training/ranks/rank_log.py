"""Records of ranks other than 0 on their way into the log: through a shared folder, or else through rank 0.

Without a shared folder a rank's shards travel as bytes through the key-value store of ``torch.distributed``, sent and
received by threads beside training. Nothing is a collective, so that no rank waits for another.
"""

from __future__ import annotations

import io
import threading
from collections.abc import Iterable
from typing import Any

import msgspec
import pyarrow as pa

from loss_logging.records.log import RecordLog, write_shard
from loss_logging.support.warn import warn_once
from loss_logging.training.ranks.meeting import Joined, Meeting
from loss_logging.training.ranks.progress import Progress, write_progress

__all__ = ["RankLog", "RankReceiver"]

_JOIN_SECONDS = 30.0
_POLL_SECONDS = 0.2
_PIECE_BYTES = 4 << 20  # the store refuses values over 8 MiB


class RankLog:
    """What a rank other than 0 writes to. It joins the run at the first write, in the recorder's thread."""

    def __init__(self, log: RecordLog, meeting: Meeting) -> None:
        self.folder = log.folder
        self._log = log
        self._meeting = meeting
        self._joined: Joined | None = None
        self._sent = 0
        self._through = self._promised = -1
        self._notes: list[str] = []

    def write(self, batches: Iterable[pa.RecordBatch]) -> None:
        """Append one shard.

        Raises:
            OSError: rank 0 has not opened the run, or does not answer, or the disk refuses; nothing was appended.
        """
        joined = self._join()
        if joined.shared_folder:
            self._log.write(batches)
        else:
            self._send(batches)
        if self._promised > self._through:  # all that was held when it was promised is in this shard
            self.mark(self._promised, self._notes)

    def _send(self, batches: Iterable[pa.RecordBatch]) -> None:
        buffer = io.BytesIO()
        write_shard(buffer, batches)
        data = buffer.getvalue()
        pieces = [data[start : start + _PIECE_BYTES] for start in range(0, len(data), _PIECE_BYTES)]
        key = f"{self._log.rank}/shard/{self._sent}"
        for place, piece in enumerate(pieces):
            self._set(f"{key}/{place}", piece)
        self._set(key, str(len(pieces)))  # last: a shard is there when all of its pieces are
        self._sent += 1

    def mark(self, through: int, notes: list[str], *, later: bool = False) -> None:
        """Say that everything up to step ``through`` is written. Trouble is warned about.

        Args:
            through: the step.
            notes: sentences that rank 0's reports must have.
            later: it is not written yet; say so after the next shard.
        """
        if later:
            self._promised, self._notes = through, notes
            return
        try:
            self._mark(self._join(), through, notes)
        except OSError as error:
            warn_once("mark", f"rank {self._log.rank} cannot tell rank 0 how far it is: {error}")

    def tell(self, notes: list[str]) -> None:
        """Tell rank 0 what its reports must say, where that has changed."""
        if notes != self._notes:
            self.mark(self._through, notes)

    def _join(self) -> Joined:
        if self._joined is None:
            joined = self._meeting.join(_JOIN_SECONDS)
            self._mark(joined, -1, [])
            self._joined = joined
        return self._joined

    def _mark(self, joined: Joined, through: int, notes: list[str]) -> None:
        progress = Progress(joined.run, through, notes)
        if joined.shared_folder:
            write_progress(self.folder, self._log.rank, progress)
        else:
            self._set(f"{self._log.rank}/progress", msgspec.json.encode(progress))
        self._through, self._notes = through, notes

    def _set(self, key: str, value: bytes | str) -> None:
        try:
            self._meeting.store.set(key, value)
        except RuntimeError as error:  # torch's DistError
            raise OSError(f"rank 0 does not answer: {error}") from error


class RankReceiver:
    """On rank 0: a thread that puts the shards that arrive through the store into the log."""

    def __init__(self, log: RecordLog, run: str, world_size: int, store: Any) -> None:
        self._log = log
        self._run = run
        self._store = store
        self._received = dict.fromkeys(range(1, world_size), 0)
        self._progress: dict[int, bytes] = {}
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._loop, name="loss_logging-ranks", daemon=True)
        self._thread.start()

    def close(self, timeout: float) -> None:
        """Receive what has arrived, and end."""
        self._closing.set()
        self._thread.join(max(timeout, 0.0))

    def _loop(self) -> None:
        closing = False
        while not closing:
            closing = self._closing.wait(_POLL_SECONDS)  # and once more then
            try:
                for rank in self._received:
                    self._receive(rank)
            except RuntimeError as error:  # torch's DistError
                warn_once("store", f"records of other ranks no longer arrive: {error}")
                return
            except OSError as error:
                warn_once("receiver", f"records of other ranks cannot be written, and are tried again: {error}")

    def _receive(self, rank: int) -> None:
        # Read before the shards: whatever a rank says is written has been sent before it said so.
        progress = self._get(f"{rank}/progress")
        while pieces := self._get(key := f"{rank}/shard/{self._received[rank]}"):
            names = [f"{key}/{place}" for place in range(int(pieces))]
            self._log.append(rank, map(self._store.get, names))
            self._received[rank] += 1
            for name in (*names, key):
                self._store.delete_key(name)
        if progress is not None and progress != self._progress.get(rank):
            write_progress(self._log.folder, rank, msgspec.json.decode(progress, type=Progress))
            self._progress[rank] = progress

    def _get(self, key: str) -> bytes | None:
        value: bytes | None = self._store.get(key) if self._store.check([key]) else None
        return value
