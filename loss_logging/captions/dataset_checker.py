"""DatasetChecker: checks all captions of a folder or a table, each by itself and in comparison with the others."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping

import msgspec

from loss_logging.captions.across import Rule
from loss_logging.captions.caption import READ_LIMIT
from loss_logging.captions.checker import TOGETHER, CaptionChecker
from loss_logging.captions.comparison import CaptionComparison
from loss_logging.captions.config import CaptionConfig
from loss_logging.captions.encoder import Tokenizer
from loss_logging.captions.ignore import Accepted, IgnoreList
from loss_logging.captions.names import Style
from loss_logging.captions.reason import FlaggedCaption, Reason
from loss_logging.captions.rules.empty import missing
from loss_logging.captions.style import StyleGuess
from loss_logging.captions.text_store import TextStore
from loss_logging.captions.verdict import Verdict, flagged_caption, flagged_order, without_accepted

__all__ = ["CheckedCaptions", "DatasetChecker"]

_SAMPLE = 500  # captions of a dataset that wait for a guess of its style


class _Waiting(msgspec.Struct, frozen=True):
    """A caption that is not checked yet."""

    index: int
    path: str
    dataset: str
    caption: str
    content_hash: str


class CheckedDataset(msgspec.Struct, frozen=True):
    """The result for one dataset.

    Args:
        captions: number of captions.
        profile: the style of its captions; None if they are of several styles, so that each was judged by itself.
        profile_is_guessed: True if the profile was guessed from the captions, False if it was configured.
        summary: number of captions by the rule that objects to them; most frequent first.
        reasons: the objections to the dataset as a whole.
    """

    captions: int
    profile: Style | None
    profile_is_guessed: bool
    summary: dict[str, int]
    reasons: list[Reason]


class CheckedCaptions(msgspec.Struct, frozen=True):
    """The result for all captions.

    Args:
        captions: number of captions.
        flagged: the captions with at least one objection, in `flagged_order`; ``loss`` is None, and captions are cut
            at `READ_LIMIT` characters.
        summary: number of captions by the rule that objects to them; most frequent first.
        datasets: the result for each dataset, by name.
        ignored: number of reasons that the ignore list or a decision left out.
        warnings: checks that were not possible, with the reason, and lines of the ignore list that have no effect.
    """

    captions: int
    flagged: list[FlaggedCaption]
    summary: dict[str, int]
    datasets: dict[str, CheckedDataset]
    ignored: int
    warnings: list[str]


class DatasetChecker:
    """Checks the captions of one or more datasets: `add` takes them one by one, `finish` gives the result.

    The style of a dataset is guessed from all its captions. An early guess judges captions as they arrive; if the final
    guess differs, the captions of the dataset are judged again. Memory grows by a few hashes per caption and by the
    flagged captions; all texts are in a temporary file.

    Args:
        config, rules, tokenizer: as for `CaptionChecker`.
        accepted: captions that a person accepted; the ignore list of the configuration when None.

    Example:
        >>> checker = DatasetChecker()
        >>> for i, caption in enumerate(["a cat on a sofa", "nan", "two dogs in the snow"]):
        ...     checker.add(f"{i}.png", "pets", caption)
        >>> checked = checker.finish()
        >>> [(flagged.path, flagged.reasons) for flagged in checked.flagged]
        [('1.png', ['empty'])]
    """

    def __init__(
        self,
        config: CaptionConfig | None = None,
        *,
        rules: Iterable[Rule] = (),
        tokenizer: Tokenizer | None = None,
        accepted: Accepted | None = None,
    ) -> None:
        self._checker = CaptionChecker(config, rules=rules, tokenizer=tokenizer)
        self._config = self._checker.config
        self._accepted = accepted or Accepted([IgnoreList(self._config.ignore)])
        self._comparison = CaptionComparison(self._config)
        self._flagged: defaultdict[int, list[Reason]] = defaultdict(list)
        self._waiting: defaultdict[str, list[_Waiting]] = defaultdict(list)
        self._guesses: defaultdict[str, StyleGuess] = defaultdict(StyleGuess)
        self._styles: dict[str, Style | None] = {}
        self._ready: list[_Waiting] = []  # captions to be checked together
        self._judged: set[str] = set()  # datasets whose captions are only compared
        self._counts: Counter[str] = Counter()
        self._missing: set[int] = set()
        self._content_hashes = TextStore()

    def add(self, path: str, dataset: str, caption: str | None, content_hash: str | bytes | None = None) -> None:
        """Take the caption of an image; None if its file is missing.

        Args:
            path: the path of the image; the ignore list's patterns match against it.
            dataset: the name of its dataset.
            caption: its text.
            content_hash: equal for images with the same bytes, to find two captions of one image.
        """
        number = self._comparison.keep(path, dataset, caption or "")
        hashed = _as_text(content_hash)
        self._content_hashes.append(hashed)
        self._counts[dataset] += 1
        if caption is None:
            self._missing.add(number)
            self._flagged[number].append(missing(path))
            return
        self._guesses[dataset].add(caption)
        item = _Waiting(number, path, dataset, caption, hashed)
        if dataset in self._styles:
            self._check(item)
        else:
            self._waiting[dataset].append(item)
            if len(self._waiting[dataset]) >= _SAMPLE:
                self._decide(dataset)

    def finish(self) -> CheckedCaptions:
        """The result; call it once, after the last `add`."""
        for dataset in list(self._waiting):
            self._decide(dataset)
        self._check_ready()
        self._correct()
        about = self._compare()
        summaries: defaultdict[str, Counter[str]] = defaultdict(Counter)
        flagged: list[FlaggedCaption] = []
        ignored = 0
        for index, reasons in self._flagged.items():
            path, dataset, caption = self._comparison.kept(index)
            verdict = without_accepted(Verdict(tuple(reasons)), path, caption, self._accepted)
            ignored += len(reasons) - (len(verdict.reasons) if verdict else 0)
            if verdict:
                summaries[dataset].update(set(verdict.rules))
                flagged.append(flagged_caption(path, dataset, caption, None, verdict))
        return CheckedCaptions(
            captions=len(self._comparison),
            flagged=sorted(flagged, key=flagged_order),
            summary=dict(sum(summaries.values(), Counter()).most_common()),
            datasets={name: self._dataset(name, summaries[name], about[name]) for name in self._counts},
            ignored=ignored,
            warnings=self._comparison.warnings + self._estimates(summaries) + self._accepted.warnings,
        )

    def _estimates(self, summaries: Mapping[str, Counter[str]]) -> list[str]:
        """A warning that tokens were estimated, if a reason rests on the estimate."""
        encoder = self._checker.encoder
        if not encoder.estimated or not any(summary["truncated"] for summary in summaries.values()):
            return []
        what = f"{encoder.name}'s tokens" if encoder.name else "tokens"
        return [
            f"{what} are estimated from words, to within about a fifth; for exact counts set tokenizer to the model's "
            "tokenizer.json"
        ]

    def _decide(self, dataset: str) -> None:
        """Guess the style of a dataset, and check the captions that waited for the guess."""
        self._styles[dataset] = self._guesses[dataset].style()
        for item in self._waiting.pop(dataset):
            self._check(item)

    def _correct(self) -> None:
        """Judge captions again in datasets whose final style differs from the early guess."""
        styles = {name: guess.style() for name, guess in self._guesses.items()}
        again = {n for n in styles if styles[n] != self._styles[n] and self._config.profile(n) == "auto"}
        self._styles = styles
        if not again:
            return
        self._judged = styles.keys() - again
        before, self._comparison = self._comparison, CaptionComparison(self._config)
        for number in range(len(before)):
            path, dataset, caption = before.kept(number)
            self._comparison.keep(path, dataset, caption)
            if number in self._missing:
                continue
            item = _Waiting(number, path, dataset, caption, self._content_hashes[number])
            if dataset in again:
                self._flagged.pop(number, None)
            self._check(item)
        self._check_ready()

    def _check(self, item: _Waiting) -> None:
        self._ready.append(item)
        if len(self._ready) >= TOGETHER:
            self._check_ready()

    def _check_ready(self) -> None:
        """Judge captions, and compare them with the others."""
        ready, self._ready = self._ready, []
        profiles = {dataset: self._profile(dataset) for dataset in {item.dataset for item in ready}}
        new = [item for item in ready if item.dataset not in self._judged] if self._judged else ready
        verdicts = self._checker.check_all([(item.caption, item.dataset, profiles[item.dataset]) for item in new])
        for item, verdict in zip(new, verdicts, strict=True):
            if verdict is not None:
                self._flagged[item.index] += verdict.reasons
        for item in ready:
            kept = item.path, item.dataset, item.caption[:READ_LIMIT]
            self._comparison.add(item.index, kept, profiles[item.dataset], item.content_hash or None)

    def _compare(self) -> defaultdict[str, list[Reason]]:
        """Add the reasons from the comparison of captions; returns the reasons about whole datasets."""
        about: defaultdict[str, list[Reason]] = defaultdict(list)
        styles = {name: self._profile(name) for name in self._counts}
        for where, reason in self._comparison.found(styles):
            reasons = about[where] if isinstance(where, str) else self._flagged[where]
            reasons.append(reason)
        return about

    def _profile(self, dataset: str) -> Style | None:
        declared = self._config.profile(dataset)
        return self._styles.get(dataset) if declared == "auto" else declared

    def _dataset(self, name: str, summary: Counter[str], reasons: list[Reason]) -> CheckedDataset:
        return CheckedDataset(
            captions=self._counts[name],
            profile=self._profile(name),
            profile_is_guessed=self._config.profile(name) == "auto",
            summary=dict(summary.most_common()),
            reasons=reasons,
        )


def _as_text(content_hash: str | bytes | None) -> str:
    return content_hash.hex() if isinstance(content_hash, bytes) else content_hash or ""
