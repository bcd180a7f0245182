"""TRL's trainers, on real small models."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from records import by_step, component

from loss_logging import TrainConfig, read_report
from loss_logging.errors import LossLoggingError

pytest.importorskip("trl")
datasets = pytest.importorskip("datasets")

import transformers  # noqa: E402
import trl  # noqa: E402

from loss_logging.integrations.trainers.transformers import log_losses  # noqa: E402

pytestmark = pytest.mark.filterwarnings(r"ignore:`\w*gradient_checkpointing\w*` is deprecated:FutureWarning")
WORDS = [f"w{i}" for i in range(40)]
STEPS = 5


def sentences(n: int = 24) -> Any:
    """3 to 12 words, each with a file and a source."""
    generator = torch.Generator().manual_seed(0)

    def words() -> str:
        count = int(torch.randint(3, 13, (), generator=generator))
        return " ".join(WORDS[i] for i in torch.randint(0, len(WORDS), (count,), generator=generator).tolist())

    rows = [{"text": words(), "file": f"{i}.txt", "source": "books" if i % 2 else "web"} for i in range(n)]
    return datasets.Dataset.from_list(rows)


def pairs(n: int = 24) -> Any:
    """A prompt with an answer that is preferred to another one."""
    texts = sentences(3 * n)["text"]
    return datasets.Dataset.from_list(
        [
            {
                "prompt": texts[3 * i],
                "chosen": f" {texts[3 * i + 1]}",
                "rejected": f" {texts[3 * i + 2]}",
                "file": f"{i}.txt",
            }
            for i in range(n)
        ]
    )


def answers(n: int = 24) -> Any:
    """A prompt with an answer that is good or bad."""
    return pairs(n).map(
        lambda row, i: {"completion": row["chosen"], "label": i % 3 != 0},
        with_indices=True,
        remove_columns=["chosen", "rejected"],
    )


def tokenizer() -> Any:
    from tokenizers import Tokenizer, models, pre_tokenizers

    vocabulary = {word: i for i, word in enumerate(["<pad>", "<eos>", "<unk>", *WORDS])}
    words = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    words.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return transformers.PreTrainedTokenizerFast(
        tokenizer_object=words, pad_token="<pad>", eos_token="<eos>", unk_token="<unk>"
    )


class Counted(transformers.GPT2LMHeadModel):  # type: ignore[misc]
    """Counts the forwards of its training, and those that made logits."""

    def __init__(self, config: Any) -> None:
        super().__init__(config)
        self.forwards = 0
        self.logits = 0
        self.transformer.register_forward_hook(lambda module, *_: self._count("forwards", module))
        self.lm_head.register_forward_hook(lambda module, *_: self._count("logits", module))

    def _count(self, name: str, module: Any) -> None:
        setattr(self, name, getattr(self, name) + module.training)


def model_of(seed: int = 0) -> Any:
    torch.manual_seed(seed)
    config = transformers.GPT2Config(
        vocab_size=len(WORDS) + 3, n_positions=64, n_embd=16, n_layer=1, n_head=2, pad_token_id=0, eos_token_id=1
    )
    return Counted(config)


def config_of(folder: Path) -> TrainConfig:
    return TrainConfig(job_name="run", save_root=folder, loggers=[], reporter="inline")


def remembering(kind: type) -> type:
    """The trainer, with each scalar loss and what it was divided by."""

    class Scalars(kind):  # type: ignore[misc]
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            super().__init__(*args, **kwargs)
            self.scalars: list[tuple[float, float]] = []

        def compute_loss(self, model: Any, inputs: Any, *args: Any, **kwargs: Any) -> Any:
            loss = super().compute_loss(model, inputs, *args, **kwargs)
            self.scalars.append((float(loss.detach()), float(kwargs.get("num_items_in_batch") or 0)))
            return loss

    return Scalars


def trainer_of(folder: Path, kind: str, data: Any, model: Any = None, **options: Any) -> Any:
    arguments: dict[str, Any] = {"max_steps": STEPS, "per_device_train_batch_size": 4, "save_strategy": "no"}
    arguments |= {"report_to": [], "use_cpu": True, "disable_tqdm": True, "dataloader_pin_memory": False, "bf16": False}
    args = getattr(trl, f"{kind}Config")(output_dir=str(folder), **(arguments | options))
    trainer = remembering(getattr(trl, f"{kind}Trainer"))
    reference = {"ref_model": model_of(seed=1)} if kind in ("DPO", "KTO") else {}
    model = model or model_of()
    return trainer(model=model, args=args, train_dataset=data, processing_class=tokenizer(), **reference)


@pytest.fixture(autouse=True)
def _quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    """TRL counts its users over the network unless it is told not to."""
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("HF_HUB_DISABLE_TELEMETRY", "1")
    monkeypatch.setenv("CI", "1")
    datasets.disable_progress_bars()


def trained(folder: Path, kind: str, data: Callable[[], Any], columns: dict[str, str], **options: Any) -> Any:
    """The trainer after its training with us, which was that of one without us: weights, scalars and forwards."""
    trainers = []
    for watched in (False, True):
        trainer = trainer_of(folder / ("b" if watched else "a"), kind, data(), **options)
        if watched:
            log_losses(trainer, config_of(folder / "b"), **columns)
        trainer.train()
        trainers.append(trainer)
    plain, watched = trainers
    assert watched.scalars == plain.scalars
    assert (watched.model.forwards, watched.model.logits) == (plain.model.forwards, plain.model.logits)
    weights = plain.model.state_dict()
    assert all(torch.equal(tensor, weights[name]) for name, tensor in watched.model.state_dict().items())
    return watched


def adds_up(folder: Path, scalars: list[tuple[float, float]]) -> list[dict[str, Any]]:
    """The rows, whose losses weighted by their tokens give each step's scalar."""
    steps = by_step(folder)
    assert sorted(steps) == list(range(1, len(scalars) + 1))
    for step, (scalar, items) in enumerate(scalars, 1):
        total = sum(row["loss"] * component(row, "tokens") for row in steps[step])
        assert total / items == pytest.approx(scalar, rel=1e-5)
    return [row for rows in steps.values() for row in rows]


@pytest.mark.parametrize("loss_type", ["nll", "dft"])
def test_fine_tuning_is_the_same_to_the_bit_and_adds_up(loss_type: str, tmp_path: Path) -> None:
    """With dropout, one forward a batch and no logits: the weights are those without us, every example is named."""
    columns = {"path": "file", "dataset": "source", "caption": "text"}
    trainer = trained(tmp_path, "SFT", sentences, columns, loss_type=loss_type)
    assert trainer.model.forwards == STEPS
    rows = adds_up(tmp_path / "b", trainer.scalars)
    assert len(rows) == 4 * STEPS
    texts = sentences()["text"]
    for row in rows:
        number = int(row["path"].removesuffix(".txt"))
        assert row["caption"] == f"{texts[number]}<eos>"
        assert row["dataset"] == ("books" if number % 2 else "web")


def test_accumulated_batches_add_up(tmp_path: Path) -> None:
    """The tokens of all batches of a step are what each of its scalars is divided by."""
    options = {"gradient_accumulation_steps": 2, "max_steps": 3}
    trainer = trained(tmp_path, "SFT", sentences, {"path": "file"}, **options)
    steps = by_step(tmp_path / "b")
    for step, rows in steps.items():
        (first, items), (second, _) = trainer.scalars[2 * step - 2 : 2 * step]
        total = sum(row["loss"] * component(row, "tokens") for row in rows)
        assert (len(rows), total / items) == (8, pytest.approx(first + second, rel=1e-5))


@pytest.mark.parametrize(
    "options",
    [
        pytest.param({"padding_free": True, "max_length": None}, marks=pytest.mark.long),
        {"padding_free": True, "max_length": None, "pad_to_multiple_of": 64},
        {"packing": True, "max_length": 24},
        pytest.param({"packing": True, "max_length": 24, "per_device_train_batch_size": 1}, marks=pytest.mark.long),
    ],
)
@pytest.mark.filterwarnings("ignore:.*attention implementation:UserWarning", "ignore:.*flash:UserWarning")
def test_documents_that_share_a_row_are_told_apart(options: dict[str, Any], tmp_path: Path) -> None:
    """Flattened and packed rows: the documents have names and losses of their own, and training is the same."""
    is_packed = "packing" in options
    columns = {} if is_packed else {"path": "file"}
    trainer = trained(tmp_path, "SFT", sentences, columns, **options)
    rows = adds_up(tmp_path / "b", trainer.scalars)
    texts = sentences()["text"]
    assert len(rows) > STEPS * options.get("per_device_train_batch_size", 1)
    for row in rows:
        assert ("/" in row["path"]) == is_packed
        assert row["caption"] in texts
        assert is_packed or row["caption"] == texts[int(row["path"].removesuffix(".txt"))]
        assert component(row, "tokens") == len(row["caption"].split())  # all but the first, and the end
    assert len({(row["path"], row["caption"]) for row in rows}) == len({row["path"] for row in rows})


def test_chunks_of_running_text_are_examples(tmp_path: Path) -> None:
    """Packing that cuts through documents gives chunks, which are named by their number."""
    trainer = trained(tmp_path, "SFT", sentences, {}, packing=True, packing_strategy="wrapped", max_length=16)
    rows = adds_up(tmp_path / "b", trainer.scalars)
    assert all(row["path"].isdigit() for row in rows)


def test_columns_that_packing_removes_are_named_before_the_training(tmp_path: Path) -> None:
    """log_losses says so, and what to do; it does not end the training in its first batch."""
    trainer = trainer_of(tmp_path, "SFT", sentences(), packing=True, max_length=24)
    with pytest.raises(LossLoggingError, match=r"no column 'file'; it has .*input_ids.*packing keeps no other columns"):
        log_losses(trainer, config_of(tmp_path), path="file")


LONG = (
    "ipo",
    "hinge",
    "nca_pair",
    "robust",
    "bco_pair",
    "sppo_hard",
    "apo_zero",
    "apo_down",
    "discopop",
    "sigmoid_norm",
)


@pytest.mark.parametrize(
    "loss_type", ["sigmoid", "exo_pair", *(pytest.param(name, marks=pytest.mark.long) for name in LONG)]
)
def test_each_pair_has_the_loss_that_it_has_alone(loss_type: str, tmp_path: Path) -> None:
    """DPO: the weights are those without us, and the loss of a pair is the scalar of a batch of that pair alone."""
    options: dict[str, Any] = {"loss_type": [loss_type], "label_smoothing": 0.1}
    options |= {"train_sampling_strategy": "sequential", "max_steps": 2}
    trained(tmp_path, "DPO", pairs, {"path": "file"}, **options)
    steps = by_step(tmp_path / "b")
    assert [row["path"] for row in steps[1] + steps[2]] == [f"{i}.txt" for i in range(8)]
    assert all(row["caption"].startswith(pairs()[i]["prompt"]) for i, row in enumerate(steps[1]))
    untrained = trainer_of(tmp_path / "c", "DPO", pairs(), **options)
    losses = []
    for features in untrained.train_dataset.select(range(4)):
        with torch.no_grad():
            losses.append(float(untrained.compute_loss(untrained.model, untrained.data_collator([features]))))
    assert [row["loss"] for row in steps[1]] == pytest.approx(losses, rel=1e-4)
    assert len(set(losses)) == 4


@pytest.mark.parametrize(
    ("kind", "data", "options", "reason"),
    [
        ("DPO", pairs, {"loss_type": ["aot"]}, "the losses of the pairs are not known"),
        ("KTO", answers, {}, "do not add up"),
    ],
)
def test_what_no_example_has_is_counted_in_every_report(
    kind: str, data: Callable[[], Any], options: dict[str, Any], reason: str, tmp_path: Path
) -> None:
    """Losses of the whole batch are not logged: the reports count them and say why, and training is the same."""
    trained(tmp_path, kind, data, {"path": "file"}, **options, save_strategy="steps", save_steps=3)
    reports = [read_report(path) for path in config_of(tmp_path / "b").report_paths()]
    assert [report.job.step for report in reports] == [3, STEPS]
    assert by_step(tmp_path / "b") == {}
    first, second = (report.warnings for report in reports)
    assert any(reason in line and "steps 1 to 3: 3 batches were not logged (12 examples)" in line for line in first)
    assert second[: len(first)] == first
    assert any(f"steps 4 to {STEPS}: 2 batches were not logged (8 examples)" in line for line in second)


def test_rewards_of_pairs_are_logged(tmp_path: Path) -> None:
    """RewardTrainer: the mean of the pairs' losses is the scalar, to the bit the one without us."""
    torch.manual_seed(0)

    def model() -> Any:
        torch.manual_seed(0)
        config = transformers.GPT2Config(
            vocab_size=len(WORDS) + 3, n_positions=64, n_embd=16, n_layer=1, n_head=2, pad_token_id=0, num_labels=1
        )
        return transformers.GPT2ForSequenceClassification(config)

    trainers = []
    for watched in (False, True):
        trainer = trainer_of(tmp_path / str(watched), "Reward", pairs(), model())
        if watched:
            log_losses(trainer, config_of(tmp_path), path="file")
        trainer.train()
        trainers.append(trainer)
    assert trainers[0].scalars == trainers[1].scalars
    for step, rows in by_step(tmp_path).items():
        assert sum(row["loss"] for row in rows) / 4 == pytest.approx(trainers[1].scalars[step - 1][0], rel=1e-5)


def test_a_mixture_of_experts_adds_up_without_its_balance(tmp_path: Path) -> None:
    """The term that balances the experts is of the batch: the examples' losses are without it, and are found."""

    def model() -> Any:
        torch.manual_seed(0)
        config = transformers.MixtralConfig(
            vocab_size=len(WORDS) + 3, hidden_size=16, intermediate_size=16, num_hidden_layers=1, num_attention_heads=2,
            num_key_value_heads=2, num_local_experts=4, max_position_embeddings=64, router_aux_loss_coef=0.5,
        )  # fmt: skip
        return transformers.MixtralForCausalLM(config)

    trainer = trainer_of(tmp_path, "SFT", sentences(), model(), gradient_accumulation_steps=2, max_steps=2)
    log_losses(trainer, config_of(tmp_path), path="file")
    trainer.train()
    steps = by_step(tmp_path)
    for step, rows in steps.items():
        (first, items), (second, _) = trainer.scalars[2 * step - 2 : 2 * step]
        total = sum(row["loss"] * component(row, "tokens") for row in rows) / items
        assert total < first + second - 0.1
    assert {step: len(rows) for step, rows in steps.items()} == {1: 8, 2: 8}


def test_losses_that_do_not_add_up_are_asked_for_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """With label smoothing nothing is logged, the model is not watched any more, and training is the same."""
    with pytest.warns(FutureWarning, match="label_smoothing_factor"):
        trained(tmp_path, "SFT", sentences, {}, label_smoothing_factor=0.1)
    assert by_step(tmp_path / "b") == {}
    (warning,) = [r for r in caplog.records if r.name == "loss_logging" and r.levelno == logging.WARNING]
    assert "do not add up" in warning.getMessage()
