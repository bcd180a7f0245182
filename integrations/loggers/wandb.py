"""The W&B backend."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args
from urllib.parse import quote

from loss_logging.integrations.loggers.cells import clean
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
"""Settings that a sweep's agent and Launch make through the environment, for the one run that they wait for."""
_FLUSH_SECONDS = 0.1  # rows that are only in the memory of W&B's process die with it


class WandbBackend:
    """Writes to a run of the trainer, or to a run of its own when given a ``project``.

    The tables of the rankings have a column with small pictures, where the report has some. The JSON report becomes an
    artifact of type ``loss_report`` (not copied: keep the file until W&B has it).

    In a W&B sweep or under W&B Launch, which set one run aside for the trainer, a run of our own stays one: it is in
    the group ``sweep-ID``, unless another ``group`` is given.

    In the trainer's run, our values join the trainer's own rows, so its rows, steps and x axis stay as they are; our
    charts have ``{prefix}/step`` as x axis. One row of ours fits into each row of the trainer, so ours wait for it to
    log. Where it logs more rarely than we do, the oldest ones go into the table ``{prefix}/uncharted`` at the end.

    Args:
        run: the trainer's run; None means the active one (``wandb.run``) at the first write.
        project: W&B project of a run of our own; the options below belong to it.
        entity: W&B user or team.
        run_name: display name of the run.
        group: name of a group of runs.
        tags: tags of the run.
        mode: "online", "offline" or "disabled"; None leaves it to W&B (``WANDB_MODE``).
        id: identifier of the run; a run that has it already is continued. None chooses one, once for a training run.
        dir: folder for W&B's files.
        run_file: where the identifier is kept, so that another process continues the run; None keeps it nowhere.
        prefix: first part of every name in the tracker.
        dashboard: save a view of the project with the panels that a person would make by hand, once for a run of our
            own that is online. Needs wandb-workspaces.

    Raises:
        ValueError: options that exclude or need one another; names them.
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
            run_file=config.paths.delivered / f"wandb-{quote(project or '', safe=' ')[:200]}.json",
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
            raise ValueError("give either run (the trainer's) or project (for a run of our own)")
        if project is None and (mode is not None or dashboard or of_own_run):
            options = sorted(of_own_run) + ["mode"] * (mode is not None) + ["dashboard"] * dashboard
            raise ValueError(f"{', '.join(options)}: only for a run of our own, which needs the option project")
        packages = {"wandb": "loss-logging[wandb]"} | ({"wandb_workspaces": "wandb-workspaces"} if dashboard else {})
        return Requirements(packages, trainer_process=project is None)

    def write(self, report: LossReport) -> None:
        """Log the JSON as an artifact, and one row with everything else."""
        import wandb

        rows = self._open()
        # A tracker that was slow may find the file gone, if the configuration keeps few reports: the rest still counts.
        if report.json_path is not None and Path(report.json_path).exists():
            name = re.sub(r"[^a-zA-Z0-9_.-]", "_", report.job.name)[:100] + "-loss-report"
            artifact = wandb.Artifact(name, type="loss_report", metadata={"step": report.job.step})
            artifact.add_file(report.json_path, policy="immutable")
            rows.run.log_artifact(artifact)  # the same file again is the same artifact, so this call may be repeated
        self._add(report.job.step, report.scalars, media(report))

    def write_scalars(self, step: int, scalars: Mapping[str, float]) -> None:
        """Log one row."""
        self._open()
        self._add(step, scalars, {})

    def forget_after(self, step: int) -> bool:  # noqa: ARG002
        """A row that W&B has stays: in a run of our own, what was written after ``step`` is not written again."""
        return self._init["project"] is None

    def unsettled(self) -> list[int]:
        """The calls, by number, whose rows would be lost if W&B's process or the trainer's died now.

        Raises:
            Exception: W&B's process is gone.
        """
        return [] if self._rows is None else self._rows.unsettled()

    def idle(self) -> None:
        """Log a waiting row if the trainer has begun a new one."""
        if self._rows is not None:
            self._rows.advance()

    def close(self) -> None:
        """Log what waits; finish the run if it is our own."""
        if self._rows is not None:
            self._rows.close()

    def _add(self, step: int, scalars: Mapping[str, float], media: dict[str, Any]) -> None:
        self._open().add(RunRow(self._calls, step, {clean(name): value for name, value in scalars.items()}, media))
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
                "or pass the option project to get a run of its own"
            )
        return run

    def _start_run(self) -> Any:
        import wandb

        # A service of this process's own: one that a parent has started, the trainer for instance, ends with it.
        if str(os.getpid()) not in os.environ.get(wandb.env.SERVICE, "").split("-"):
            os.environ.pop(wandb.env.SERVICE, None)
        if self._dir is not None:
            self._dir.mkdir(parents=True, exist_ok=True)
        # create_new: a run that the trainer has open in this process is not ours to end. No console: what this process
        # prints is not the run's.
        settings = wandb.Settings(console="off", silent=True)
        if FLUSH_SETTING in type(settings).model_fields:
            setattr(settings, FLUSH_SETTING, _FLUSH_SECONDS)
        with _apart_from_the_trainers_run() as sweep:
            # What is in one sweep stays together, though our run is none of the sweep's.
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
        except Exception as error:  # noqa: BLE001 a view is no reason to lose what it would show
            warn_once("W&B view", f"the view of the W&B project was not saved: {type(error).__name__}: {error}")


@contextmanager
def _apart_from_the_trainers_run() -> Iterator[str | None]:
    """Have W&B begin a run that is not the one of a sweep or of Launch; gives the sweep's identifier.

    W&B takes the identifier, project and entity of that run before those that it is called with. The environment stays
    as it is: where this is the trainer's process, the trainer may have yet to begin the run.
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
