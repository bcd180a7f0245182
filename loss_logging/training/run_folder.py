"""The files of one run, put in the state that the run starts from."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Mapping
from datetime import datetime, timezone
from pathlib import Path

from loss_logging.errors import ConfigError, LossLoggingError
from loss_logging.records.log import RecordLog
from loss_logging.reports.names import by_step, items_path
from loss_logging.runs.config import TrainConfig
from loss_logging.runs.facts import RunFacts, write_facts
from loss_logging.runs.lock import RunLock
from loss_logging.runs.store.download import bring, check_store
from loss_logging.runs.store.upload import forget_versions
from loss_logging.support.files import remove_leftovers, whole_file
from loss_logging.support.warn import LOGGER
from loss_logging.trackers import ledger
from loss_logging.training.ranks.meeting import Meeting, Rank

__all__ = ["RunFolder"]

_MOST_NAMED = 5


class RunFolder:
    """The folder of a run: one writer for each rank; rank 0 puts it in order for all of them.

    Args:
        config: of the run.
        rank: of this process.
        give_way: called when another logger of this process wants the folder; it releases this one.

    Raises:
        ConfigError: the folder cannot be written, or leads out of ``save_root``; an object store refuses.
        MissingExtraError: a URL needs a package that is not installed.
        LogVersionError: a later version of loss_logging wrote the log in it.
    """

    def __init__(self, config: TrainConfig, rank: Rank, give_way: Callable[[], object]) -> None:
        _make(config)
        if rank.rank == 0 and config.url is not None:
            check_store(config)
        self._config = config
        self._rank = rank.rank
        self._world_size = rank.world_size
        self._lock = RunLock(config.records_dir, rank.rank, give_way)
        self.log = RecordLog(config.records_dir, rank.rank)
        self.meeting = Meeting(config.paths)
        self.resumed_from: int | None = None
        self._starts_clean = False

    def resume(self, step: int) -> None:
        """Remove what is later than ``step``, of every rank; 0 removes everything."""
        self.resumed_from = step
        if self._rank != 0:
            return
        self._take()
        if self._config.url is not None:
            bring(self._config)
        # The last report first, and the records last: interrupted, every report that is left has its records.
        for at, path in reversed(by_step(self._config.report_paths()).items()):
            if step == 0 or at > step:
                path.unlink(missing_ok=True)
                items_path(path).unlink(missing_ok=True)
        self.log.truncate(step if step > 0 else -1)
        if step == 0:
            self._config.page_path.unlink(missing_ok=True)
            ledger.forget(self._config)
        else:
            ledger.note_resumed(self._config, step)
            self._say_if_others(step)

    def _say_if_others(self, step: int) -> None:
        """Warn where nothing is gone on with, and other runs are there: somebody may have renamed the job."""
        if self.log.files():
            return
        records = self._config.records_dir
        others = sorted(one.name for one in records.parent.iterdir() if one != records and any(one.glob("*.parquet")))
        if others:
            LOGGER.warning(
                "resume(%d): %s has no record of the run %r up to step %d, only of %s. Reports are of what follows; to "
                "go on with another run, give its job_name.",
                step,
                self._config.out_dir,
                self._config.job_name,
                step,
                ", ".join(others[:_MOST_NAMED]) + ", ..." * (len(others) > _MOST_NAMED),
            )

    def scalars_through(self) -> int:
        """The last step whose means were reported, as a run had it that goes on here; -1 when none were."""
        if not self.resumed_from:
            return -1
        reports = self._config.report_paths()
        last_report = max(by_step(reports), default=-1)
        return max(last_report, self.resumed_from // self._config.log_every * self._config.log_every or -1)

    def start_evaluation(self) -> None:
        """Have the records of an earlier evaluation of this name replaced by the first that are logged; its reports
        stay.

        Raises:
            LossLoggingError: the folder holds the records of a training run.
        """
        self._refuse_training()  # before the lock: a training of this process would give way
        self._take()
        if self._config.url is not None:
            bring(self._config)
        self._refuse_training()
        self._config.paths.evaluation_mark.touch()
        ledger.allow_again(self._config)
        self._starts_clean = True

    def _refuse_training(self) -> None:
        if not self._config.paths.evaluation_mark.exists() and self.log.files():
            self.release()
            raise LossLoggingError(
                f"{self._config.out_dir} holds a training run named {self._config.job_name!r}: "
                "evaluate under another job_name"
            )

    def open(self, excluded: Mapping[str, int]) -> str:
        """Take the folder for this process; rank 0 opens the run for the others, and gets its identity.

        Args:
            excluded: how many items of each dataset have been left out, which is noted with the run.

        Raises:
            LossLoggingError: another process holds it, or an earlier run is there that is to be left alone.
        """
        self._take()
        if self._rank != 0:
            return ""
        if self.resumed_from is None and not self._starts_clean:
            self._leave_behind()
        if self._starts_clean:
            self._config.paths.evaluation_mark.write_bytes(b"")  # what is there from here on is not finished
            self.log.truncate(-1)
        if not self.resumed_from:
            self._config.paths.rivals.unlink(missing_ok=True)
        self.log.clean()
        remove_leftovers(self._config.out_dir, f"{self._config.job_name}_")
        facts = RunFacts(self._config.to_dict(), self._world_size, self.resumed_from, dict(excluded))
        write_facts(self._config, facts)
        return self.meeting.open()

    @property
    def is_held_beside(self) -> bool:
        """Whether another logger of this process writes it."""
        return self._lock.is_held_beside

    def release(self) -> None:
        """Let another process have it."""
        self._lock.release()

    def _take(self) -> None:
        if self._rank == 0 and not self._lock.is_held and not self.meeting.is_rank_0_alive():
            self.meeting.clear()  # before the lock, which tells the other ranks that rank 0 is there
        self._lock.acquire()

    def _leave_behind(self) -> None:
        """Move an earlier run of the same name out of the way."""
        config = self._config
        self.log.clean()
        reports = config.report_paths()
        used = [*self.log.files(), *reports, *(path for path in map(items_path, reports) if path.exists())]
        delivered = config.paths.delivered
        if not used:
            ledger.forget(config)
            forget_versions(config)
            return
        now = datetime.now(timezone.utc).strftime("%Y%m%dT%H%M%S.%f")
        archive = config.paths.archive / f"{config.job_name}-{now}"
        archive.mkdir(parents=True)
        forget_versions(config)
        for path in [*used, *filter(Path.exists, [config.page_path, config.paths.facts])]:
            shutil.move(path, archive / path.name)
        if delivered.exists():
            shutil.move(delivered, archive / "delivered")
        LOGGER.warning(
            "%s holds an earlier run named %r; its records and reports were moved to %s. "
            "To go on with a run instead, call resume(step) before the first batch.",
            config.out_dir,
            config.job_name,
            archive,
        )


def _make(config: TrainConfig) -> None:
    folder = config.records_dir
    _refuse_links_out(config)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with whole_file(config.paths.writable_probe) as file:
            file.write(bytes(4_096))  # a full disk may still take an empty file
        (config.paths.writable_probe).unlink(missing_ok=True)
    except OSError as error:
        raise ConfigError(
            f"save_root: cannot write to {folder}: {error.strerror}; give a folder that this process may write to"
        ) from error


def _refuse_links_out(config: TrainConfig) -> None:
    """Somebody may have put links where this run writes or appends; what is replaced as a whole needs no look."""
    folder, delivered, root = config.records_dir, config.paths.delivered, config.local_root
    places = [folder, *folder.glob(".*"), config.paths.archive, delivered, *delivered.glob("*")]
    for path in places:
        target = os.path.realpath(path)
        if not Path(target).is_relative_to(os.path.realpath(root)):
            raise ConfigError(
                f"save_root: {path} leads out of {root}, to {target}; remove the link, or give that folder"
            )
