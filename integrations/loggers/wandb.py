"""The W&B backend."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

from loss_logging.integrations.loggers.cells import clean_name, file_stem, fit_name
from loss_logging.integrations.loggers.wandb_media import media
from loss_logging.integrations.loggers.wandb_rows import FLUSH_SETTING, OwnRows, RowNumbers, Rows, RunRow, TrainersRows
from loss_logging.reports.report import LossReport
from loss_logging.support.warn import LOGGER, warn_once
from loss_logging.trackers.backends import Requirements

if TYPE_CHECKING:
    from loss_logging.runs.config import TrainConfig

__all__ = ["WandbBackend"]

Mode = Literal["online", "offline", "disabled"]

_OF_THE_TRAINERS_RUN = ("sweep_id", "sweep_param_path", "launch", "launch_config_path", "run_id", "resume")
"""Variables of the environment that a sweep's agent and Launch set for the run that they wait for."""
_REFUSED_IN_ARTIFACTS = re.compile(r"[^a-zA-Z0-9_.-]")
_FLUSH_SECONDS = 0.1  # rows in the memory of W&B's process are lost with it


class WandbBackend:
    """Writes to the trainer's run, or with ``project`` to its own run.

    The tables of the rankings have a column with small pictures, if the report has pictures. The JSON report becomes an
    artifact of type ``loss_report``. It is not copied: keep the file until W&B has it.

    A W&B sweep and W&B Launch reserve one run for the trainer. Our own run stays separate from it, in the group
    ``sweep-ID`` unless another ``group`` is given.

    In the trainer's run, our values join the trainer's own rows, so its rows, steps and x axis stay unchanged; our
    charts have ``{prefix}/step`` as x axis. Each row of the trainer takes one of our rows, so our rows wait for the
    trainer to log. If the trainer logs less often than we do, the oldest rows go into the table ``{prefix}/uncharted``
    at the end.

    Args:
        run: the trainer's run; None means the active run (``wandb.run``) at the first write.
        project: W&B project of our own run; the options below need it.
        entity: W&B user or team.
        run_name: display name of the run.
        group: name of a group of runs.
        tags: tags of the run.
        mode: "online", "offline" or "disabled"; None leaves it to W&B (``WANDB_MODE``).
        id: identifier of the run; an existing run with it is continued. None chooses one for each training run.
        dir: folder for W&B's files.
        run_file: file with the identifier, so that another process continues the run; None stores it nowhere.
        prefix: first part of every name in the tracker.
        dashboard: save a view of the project with the usual panels, once, if our own run is online. Needs
            wandb-workspaces.

    Raises:
        ValueError: options exclude or need one another; the message names them.
    """

    name = "wandb"

    def __init__(
        self,
        *,
        run: Any = None,
        project: str | None = None,
        entity: str | None = None,
        run_name: str | None = None,
        group: str | None = None,
        tags: Sequence[str] = (),
        mode: Mode | None = None,
        id: str | None = None,  # noqa: A002 - W&B's name for it
        dir: str | Path | None = None,  # noqa: A002
        run_file: Path | None = None,
        prefix: str = "loss_logging",
        dashboard: bool = False,
    ) -> None:
        self.requirements(run=run, project=project, mode=mode, dashboard=dashboard)
        self._dashboard = dashboard
        self._run = run
        self._init: dict[str, Any] = {"project": project, "entity": entity, "name": run_name, "group": group}
        self._init |= {"tags": list(tags), "mode": mode}
        self._numbers = RowNumbers(run_file, id)
        self._dir = None if dir is None else Path(dir)
        self._prefix = prefix
        self._rows: Rows | None = None
        self._calls = 0

    @classmethod
    def from_config(
        cls,
        config: TrainConfig,
        *,
        run: Any = None,
        project: str | None = None,
        entity: str | None = None,
        run_name: str | None = None,
        group: str | None = None,
        tags: Sequence[str] = (),
        mode: Mode | None = None,
        id: str | None = None,  # noqa: A002
        dir: str | Path | None = None,  # noqa: A002
        dashboard: bool = False,
    ) -> WandbBackend:
        """``run_name`` defaults to the job's name, ``dir`` to ``{save_root}/loss_logging``."""
        return cls(
            run=run,
            project=project,
            entity=entity,
            run_name=run_name or config.job_name,
            group=group,
            tags=tags,
            mode=mode,
            id=id,
            dir=dir or config.out_dir,
            run_file=config.paths.delivered / f"{file_stem('wandb', project)}.json",
            prefix=config.prefix,
            dashboard=dashboard,
        )

    @classmethod
    def requirements(
        cls,
        *,
        run: Any = None,
        project: str | None = None,
        mode: str | None = None,
        dashboard: bool = False,
        **of_own_run: Any,
    ) -> Requirements:
        """The wandb package, and the trainer's process for the trainer's run."""
        if mode is not None and mode not in get_args(Mode):
            raise ValueError(f"mode: got {mode!r}; allowed: {', '.join(get_args(Mode))}")
        if run is not None and project is not None:
            raise ValueError("give either run (the trainer's) or project (for a new run)")
        if project is None and (mode is not None or dashboard or of_own_run):
            options = sorted(of_own_run) + ["mode"] * (mode is not None) + ["dashboard"] * dashboard
            raise ValueError(f"{', '.join(options)}: allowed only together with the option project")
        packages = {"wandb": "loss-logging[wandb]"} | ({"wandb_workspaces": "wandb-workspaces"} if dashboard else {})
        return Requirements(packages, trainer_process=project is None)

    def write(self, report: LossReport) -> None:
        """Log the JSON as an artifact, and one row with all other data."""
        import wandb

        rows = self._open()
        # With a slow tracker and few kept reports, the file may be gone; the other data still count.
        if report.json_path is not None and Path(report.json_path).exists():
            name = fit_name(report.job.name, _REFUSED_IN_ARTIFACTS, 100)
            artifact = wandb.Artifact(f"{name}-loss-report", type="loss_report", metadata={"step": report.job.step})
            artifact.add_file(report.json_path, policy="immutable")
            rows.run.log_artifact(artifact)  # the same file again is the same artifact, so this call may be repeated
        self._add(report.job.step, report.scalars, media(report))

    def write_scalars(self, step: int, scalars: Mapping[str, float]) -> None:
        """Log one row."""
        self._open()
        self._add(step, scalars, {})

    def forget_after(self, step: int) -> bool:  # noqa: ARG002
        """W&B keeps its rows, so in our own run, data after ``step`` are not written again."""
        return self._init["project"] is None

    def unsettled(self) -> list[int]:
        """The calls, by number, whose rows would be lost if W&B's process or the trainer's died now.

        Raises:
            Exception: W&B's process has ended.
        """
        return [] if self._rows is None else self._rows.unsettled()

    def idle(self) -> None:
        """Log a waiting row if the trainer has begun a new one."""
        if self._rows is not None:
            self._rows.advance()

    def close(self) -> None:
        """Log the waiting rows; finish the run if it is our own."""
        if self._rows is not None:
            self._rows.close()

    def _add(self, step: int, scalars: Mapping[str, float], media: dict[str, Any]) -> None:
        self._open().add(RunRow(self._calls, step, {clean_name(name): value for name, value in scalars.items()}, media))
        self._calls += 1

    def _open(self) -> Rows:
        if self._rows is None:
            own = self._init["project"] is not None
            run = self._start_run() if own else self._trainers_run()
            run.define_metric(f"{self._prefix}/step", hidden=True)
            run.define_metric(f"{self._prefix}/*", step_metric=f"{self._prefix}/step")
            self._rows = OwnRows(run, self._prefix, self._numbers) if own else TrainersRows(run, self._prefix)
        return self._rows

    def _trainers_run(self) -> Any:
        import wandb

        run = wandb.run if self._run is None else self._run
        if run is None:
            raise RuntimeError(
                "there is no active W&B run: call wandb.init() in the training script, pass the option run, "
                "or pass the option project to make a new run"
            )
        return run

    def _start_run(self) -> Any:
        import wandb

        # This process needs its own service: a service that a parent, such as the trainer, started ends with it.
        if str(os.getpid()) not in os.environ.get(wandb.env.SERVICE, "").split("-"):
            os.environ.pop(wandb.env.SERVICE, None)
        if self._dir is not None:
            self._dir.mkdir(parents=True, exist_ok=True)
        # create_new: we must not end a run that the trainer has open in this process. No console: the output of this
        # process does not belong to the run.
        settings = wandb.Settings(console="off", silent=True)
        if FLUSH_SETTING in type(settings).model_fields:
            setattr(settings, FLUSH_SETTING, _FLUSH_SECONDS)
        with _apart_from_the_trainers_run() as sweep:
            # Our runs of one sweep stay together, though they are no runs of the sweep.
            group = self._init["group"] or wandb.setup().settings.run_group or (sweep and f"sweep-{sweep}")
            run = wandb.init(
                **self._init | {"group": group},
                id=self._numbers.run_id,
                resume="allow",
                dir=self._dir,
                reinit="create_new",
                settings=settings,
            )
        LOGGER.info("W&B run: %s", run.dir if run.offline else run.url)
        if self._dashboard and not run.offline and not run.disabled and self._numbers.is_new:
            self._save_dashboard(run)
        return run

    def _save_dashboard(self, run: Any) -> None:
        from loss_logging.integrations.loggers.wandb_workspace import save_view

        try:
            LOGGER.info("W&B view: %s", save_view(run, self._prefix))
        except Exception as error:  # noqa: BLE001 a failed view must not lose the data
            warn_once("W&B view", f"the view of the W&B project was not saved: {type(error).__name__}: {error}")


@contextmanager
def _apart_from_the_trainers_run() -> Iterator[str | None]:
    """Let W&B begin a run apart from the run of a sweep or of Launch; yields the sweep's identifier.

    W&B prefers the identifier, project and entity of that run to its arguments. The environment stays unchanged: in the
    trainer's process, the trainer may still have to begin that run.
    """
    import wandb

    settings = wandb.setup().settings
    given = {name: getattr(settings, name) for name in _OF_THE_TRAINERS_RUN if name in type(settings).model_fields}
    for name in given:
        setattr(settings, name, type(settings).model_fields[name].default)
    try:
        yield given["sweep_id"]
    finally:
        for name, value in given.items():
            setattr(settings, name, value)
