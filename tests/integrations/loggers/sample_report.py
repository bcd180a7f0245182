"""A report with everything in it, hostile captions included."""

from __future__ import annotations

from pathlib import Path

from loss_logging.captions.reason import FlaggedCaption
from loss_logging.reports.report import (
    DatasetReport,
    Histogram,
    Job,
    LossReport,
    PairedItems,
    Summary,
    TimestepCurve,
    Worst,
    WorstItem,
)

HOSTILE = [
    "![x](http://evil.example/pixel.png)",
    "<img src=http://evil.example onerror=alert(1)><script>alert(1)</script>",
    "a | b | c\n| --- |\n# heading\r\n\r\n- list",
    "[link](javascript:alert(1)) <http://auto.link> `code` **bold** &lt;b&gt; &#35;",
    "lone \ud800 surrogate, nul \x00, markers \x02klzzwxh:0000\x03",
    "x" * 1_000_000,
    "",
    "a plain caption",
]


def sample_report(step: int, folder: Path) -> LossReport:
    """The report of a step, with its JSON in ``folder``; its figures differ from step to step."""
    json_path = folder / f"cats_{step:09d}.json"
    json_path.write_text('{"schema": "loss_logging/report/2"}')
    summary = Summary(
        count=6,
        mean=0.5,
        median=0.5,
        min=0.1,
        max=0.9,
        std=0.1,
        non_finite=0,
        quantiles={},
        histogram=Histogram([0.1, 0.2, 0.4, 0.8], [step, 2, 3]),
        loss_by_timestep=TimestepCurve([0, 250, 500, 1000], [2, 0, 4], [0.25, None, 0.75 + step]),
    )
    return LossReport(
        job=Job("cats", step, "2024-01-01T00:00:00Z"),
        global_=summary,
        datasets={"cats": DatasetReport(summary, PairedItems(3, 2, 1, -0.25, 0.125))},
        flagged=[
            FlaggedCaption(f"{i}.png", "cats", caption, 0.1 * i if i else None, ["short", "url"], 0.5, "warning")
            for i, caption in enumerate(HOSTILE)
        ],
        flagged_summary={"short": 7, "url": 8},
        worst=Worst(
            hard=[WorstItem("cats", "1.png", "a cat", 2.5, 3, 0.75), WorstItem("cats", "2.png", "b", 1.0, 4, None)]
        ),
        recent={"cats": 0.5 + step},
        json_path=str(json_path),
    )
