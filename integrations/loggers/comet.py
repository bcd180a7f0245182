"""The Comet backend."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from loss_logging.integrations.loggers.cells import clean_name, csv_table
from loss_logging.reports.report import LossReport
from loss_logging.trackers.backends import Requirements

if TYPE_CHECKING:
    from loss_logging.runs.config import TrainConfig

__all__ = ["CometBackend"]


class CometBackend:
    """Writes to the trainer's running experiment, or with ``project`` to its own experiment.

    Histograms and curves become Comet's 3-D histograms, with Comet's own bins of 10% width. Tables become CSV assets of
    their step, and the JSON report becomes an asset.

    Args:
        project: Comet project of our own experiment; the options below need it.
        workspace: Comet workspace.
        run_name: name of the experiment.
        offline: write an archive for ``comet upload`` into ``dir``, instead of sending data to Comet.
        dir: folder for archives.
    """

    name = "comet"

    def __init__(
        self,
        *,
        project: str | None = None,
        workspace: str | None = None,
        run_name: str | None = None,
        offline: bool = False,
        dir: str | Path | None = None,  # noqa: A002 - the name that the other trackers have for it
    ) -> None:
        self._project = project
        self._workspace = workspace
        self._run_name = run_name
        self._offline = offline
        self._dir = None if dir is None else str(dir)
        self._experiment: Any = None

    @classmethod
    def from_config(
        cls,
        config: TrainConfig,
        *,
        project: str | None = None,
        workspace: str | None = None,
        run_name: str | None = None,
        offline: bool = False,
        dir: str | Path | None = None,  # noqa: A002
    ) -> CometBackend:
        """``run_name`` defaults to the job's name, ``dir`` to ``{save_root}/loss_logging/comet``."""
        return cls(
            project=project,
            workspace=workspace,
            run_name=run_name or config.job_name,
            offline=offline,
            dir=dir or config.out_dir / "comet",
        )

    @classmethod
    def requirements(cls, *, project: str | None = None, **of_own_experiment: Any) -> Requirements:
        """The comet_ml package, and the trainer's process for the trainer's experiment."""
        if project is None and of_own_experiment:
            raise ValueError(f"{', '.join(sorted(of_own_experiment))}: allowed only together with the option project")
        return Requirements({"comet_ml": "loss-logging[comet]"}, trainer_process=project is None)

    def write(self, report: LossReport) -> None:
        """Log all data of the report under its step, scalars last."""
        experiment, step = self._open(), report.job.step
        for name, histogram in report.histograms.items():
            self._log_bars(name, histogram.edges, histogram.counts, step)
        for name, curve in report.curves.items():
            # Comet counts in whole numbers, so the unit is a millionth of the loss.
            self._log_bars(name, curve.edges, [round((mean or 0.0) * 1e6) for mean in curve.means], step)
        for name, table in report.tables.items():
            text = csv_table(table)
            experiment.log_asset_data(text, name=f"{clean_name(name)}/{step:09d}.csv", step=step)
        if report.json_path is not None and Path(report.json_path).exists():
            experiment.log_asset(report.json_path, file_name=Path(report.json_path).name, step=step)
        self._log_scalars(report.scalars, step)

    def write_scalars(self, step: int, scalars: Mapping[str, float]) -> None:
        """Log the values."""
        self._open()
        self._log_scalars(scalars, step)

    def forget_after(self, step: int) -> bool:  # noqa: ARG002
        """Comet keeps what it has."""
        return False

    def close(self) -> None:
        """End the experiment if it is our own."""
        if self._experiment is not None and self._project is not None:
            self._experiment.end()
        self._experiment = None

    def _log_scalars(self, scalars: Mapping[str, float], step: int) -> None:
        for name, value in scalars.items():
            self._experiment.log_metric(clean_name(name), value, step=step, include_context=False)

    def _log_bars(self, name: str, edges: Sequence[float], heights: Sequence[int], step: int) -> None:
        from comet_ml.data_structure import Histogram

        bars = Histogram()
        bars.add([(left + right) / 2 for left, right in itertools.pairwise(edges)], counts=list(heights))
        self._experiment.log_histogram_3d(bars, name=clean_name(name), step=step)

    def _open(self) -> Any:
        if self._experiment is None:
            import comet_ml

            found: Any = comet_ml.get_running_experiment() if self._project is None else self._start()
            if found is None or found.ended:
                raise RuntimeError(
                    "there is no running Comet experiment: call comet_ml.start() in the training script, or pass the "
                    "option project for a separate experiment"
                )
            self._experiment = found
        return self._experiment

    def _start(self) -> Any:
        import comet_ml

        # Log only our own data of this process, as it is not the trainer's.
        parts = ["log_code", "log_graph", "log_git_metadata", "log_git_patch", "log_env_details", "auto_log_co2"]
        parts += ["parse_args", "auto_output_logging", "auto_param_logging", "auto_metric_logging"]
        settings: dict[str, Any] = {**dict.fromkeys(parts, False), "display_summary_level": 0}
        settings |= {"project_name": self._project, "workspace": self._workspace}
        if self._offline:
            assert self._dir is not None
            Path(self._dir).mkdir(parents=True, exist_ok=True)
            experiment: Any = comet_ml.OfflineExperiment(offline_directory=self._dir, **settings)
        else:
            experiment = comet_ml.Experiment(**settings)
        experiment.set_name(self._run_name)
        return experiment
