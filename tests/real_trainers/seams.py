"""The names and signatures that an adapter relies on: those of a stand-in beside those of the trainer's own source.

Both are read and not imported, so that no trainer has to be installed.
"""

from __future__ import annotations

import ast
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

__all__ = ["SEAMS", "Seam", "differences"]


class Seam(NamedTuple):
    """Names that both have: a function, a class, ``Class.method`` or ``Class.attribute``.

    ``real`` are files of the checkout, and ``kinds`` what a class of the stand-in is called there: several where the
    trainer spreads it over base classes.
    """

    standin: str
    real: Sequence[str]
    names: Sequence[str]
    kinds: dict[str, Sequence[str]] = {}  # noqa: RUF012, of a tuple


SEAMS: dict[str, list[Seam]] = {
    "sd-scripts": [
        Seam(
            "kohya_standin/sd_scripts/train_network.py",
            ["train_network.py"],
            [
                "NetworkTrainer.train", "NetworkTrainer.process_batch", "NetworkTrainer.post_process_loss",
                "NetworkTrainer.on_validation_step_end",
            ],
        ),
        Seam(
            "kohya_standin/sd_scripts/library/train_util.py",
            ["library/train_util.py", "library/strategy_base.py"],
            [
                "glob_images", "BaseDataset.register_image", "FineTuningDataset.num_train_images",
                "DatasetGroup.new_cache_text_encoder_outputs", "ImageInfo.__init__", "ImageInfo.text_encoder_outputs",
                "TextEncoderOutputsCachingStrategy.cache_batch_outputs",
                "TextEncoderOutputsCachingStrategy.get_strategy", "TextEncoderOutputsCachingStrategy._cache_to_disk",
                "TextEncodingStrategy.get_strategy", "TokenizeStrategy.get_strategy", "TokenizeStrategy.tokenize",
                "conditional_loss", "collator_class.__init__", "collator_class.current_step", "DatasetGroup.__init__",
                "BaseDataset.__getitem__", "BaseDataset.image_data", "BaseDataset.image_to_subset",
                "BaseDataset.bucket_manager", "BaseDataset.buckets_indices", "BaseDataset.width",
                "BaseDataset.caching_mode", "BucketBatchIndex.bucket_index", "BucketBatchIndex.bucket_batch_size",
                "BucketBatchIndex.batch_index",
            ],
        ),
        Seam(
            "kohya_standin/sd_scripts/library/custom_train_functions.py",
            ["library/custom_train_functions.py"],
            ["apply_masked_loss"],
        ),
    ],
    "musubi-tuner": [
        Seam(
            "kohya_standin/musubi/musubi_tuner/training/trainer_base.py",
            ["src/musubi_tuner/training/trainer_base.py"],
            [
                "NetworkTrainer.train", "NetworkTrainer.process_batch", "NetworkTrainer.compute_loss",
                "NetworkTrainer.call_dit", "NetworkTrainer.load_transformer", "NetworkTrainer.process_sample_prompts",
                "NetworkTrainer.architecture", "NetworkTrainer.architecture_full_name",
                "DiTOutput.pred", "DiTOutput.target",
            ],
        ),
        Seam(
            "kohya_standin/musubi/musubi_tuner/training/sampling_prompts.py",
            ["src/musubi_tuner/training/sampling_prompts.py"],
            ["load_prompts"],
        ),
        Seam(
            "kohya_standin/musubi/musubi_tuner/dataset/image_video_dataset.py",
            [f"src/musubi_tuner/dataset/{name}.py" for name in ("image_video_dataset", "bucket", "datasources")],
            [
                "ImageDataset.__getitem__", "ImageDataset.prepare_for_training", "ImageDataset.datasource",
                "VideoDataset.prepare_for_training", "DatasetGroup.__init__", "BucketBatchManager.buckets",
                "BucketBatchManager.batch_size", "BucketBatchManager.bucket_batch_indices",
                "ImageDirectoryDatasource.image_paths", "ImageDirectoryDatasource.get_caption",
            ],
        ),
    ],
    "ai-toolkit": [
        Seam(
            "ai_toolkit_standin.py",
            ["extensions_built_in/sd_trainer/SDTrainer.py", "jobs/process/BaseSDTrainProcess.py"],
            [
                "SDTrainer.hook_before_train_loop", "SDTrainer.hook_train_loop", "SDTrainer.calculate_loss",
                "SDTrainer.predict_noise", "SDTrainer.train_single_accumulation", "SDTrainer.end_step_hook",
                "SDTrainer.save", "SDTrainer.additional_logs",
            ],
            {"SDTrainer": ["SDTrainer", "BaseSDTrainProcess"]},
        ),
        Seam(
            "ai_toolkit_standin.py",
            ["toolkit/data_loader.py"],
            [
                "AiToolkitDataset.setup_epoch", "AiToolkitDataset.file_list", "AiToolkitDataset.epoch_num",
                "AiToolkitDataset.dataset_config",
            ],
        ),
        Seam(
            "ai_toolkit_standin.py",
            ["toolkit/data_transfer_object/data_loader.py", "toolkit/dataloader_mixins.py"],
            [
                "Batch.file_items", "Batch.loss_multiplier_list", "Batch.get_is_reg_list", "FileItem.path",
                "FileItem.caption", "FileItem.raw_caption", "FileItem.caption_short", "FileItem.is_reg",
                "FileItem.loss_multiplier", "FileItem.dataset_config", "FileItem._caption_was_dropped",
            ],
            {
                "Batch": ["DataLoaderBatchDTO"],
                "FileItem": ["FileItemDTO", "CaptionProcessingDTOMixin", "TextEmbeddingFileItemDTOMixin"],
            },
        ),
    ],
    "OneTrainer": [
        Seam(
            "onetrainer_standin/modules/modelSetup/mixin/ModelSetupDiffusionLossMixin.py",
            ["modules/modelSetup/mixin/ModelSetupDiffusionLossMixin.py"],
            [f"ModelSetupDiffusionLossMixin.{name}" for name in (
                "_diffusion_losses", "_flow_matching_losses", "__masked_losses", "__unmasked_losses",
            )],
        ),
        Seam(
            "onetrainer_standin/modules/trainer/GenericTrainer.py",
            ["modules/trainer/GenericTrainer.py", "modules/modelSaver/BaseModelSaver.py"],
            ["GenericTrainer.train", "GenericTrainer.start", "GenericTrainer.model_saver", "Saver.save"],
            {"Saver": ["BaseModelSaver"]},
        ),
        Seam(
            "onetrainer_standin/modules/util/TrainProgress.py",
            ["modules/util/TrainProgress.py"],
            ["TrainProgress.global_step", "TrainProgress.next_step"],
        ),
        Seam(
            "onetrainer_standin/modules/trainer/GenericTrainer.py",
            ["modules/modelSetup/BaseModelSetup.py", "modules/model/StableDiffusionModel.py"],
            ["Setup.predict", "Model.encode_text"],
            {"Setup": ["BaseModelSetup"], "Model": ["StableDiffusionModel"]},
        ),
    ],
    "diffusion-pipe": [
        Seam(
            "diffusion_pipe_standin/utils/dataset.py",
            ["utils/dataset.py"],
            [
                "PipelineDataLoader.__init__", "PipelineDataLoader._pull_batches_from_dataloader",
                "PipelineDataLoader.model", "PipelineDataLoader.model_engine", "PipelineDataLoader.dataset",
                "Dataset.directory_datasets", "split_batch",
            ],
        ),
        Seam(
            "diffusion_pipe_standin/utils/pipeline.py",
            ["utils/pipeline.py"],
            ["ManualPipelineModule.__init__", "ManualPipelineModule._partition_layers"],
        ),
        Seam(
            "diffusion_pipe_standin/utils/saver.py",
            ["utils/saver.py"],
            ["Saver.__init__", "Saver.save_checkpoint", "Saver.save_model", "Saver.save_root"],
        ),
        Seam(
            "diffusion_pipe_standin/train.py",
            ["models/base.py"],
            ["Model.prepare_inputs", "Model.get_loss_fn"],
            {"Model": ["BasePipeline"]},
        ),
    ],
    "SimpleTuner": [
        Seam(
            "test_simpletuner.py",
            ["simpletuner/helpers/metadata/backends/base.py", "simpletuner/helpers/data_backend/factory.py"],
            [
                "MetadataBackend.split_buckets_between_processes", "MetadataBackend.aspect_ratio_bucket_indices",
                "MetadataBackend.read_only", "MetadataBackend.id", "FactoryRegistry._handle_bucket_operations",
            ],
        ),
        Seam(
            "test_simpletuner.py",
            ["simpletuner/helpers/training/trainer.py", "simpletuner/helpers/models/common.py"],
            [
                "Trainer.init_data_backend", "Trainer.train", "Trainer.model_predict", "Trainer.checkpoint_state_save",
                "Trainer.state", "Trainer.config", "Trainer.accelerator", "Model.loss", "Model.get_prediction_target",
            ],
            {"Model": ["ModelFoundation"]},
        ),
        Seam(
            "test_simpletuner.py",
            ["simpletuner/helpers/models/xm_mixin.py"],
            ["ModelWithLogs.loss_with_logs"],
            {"ModelWithLogs": ["ExplorativeModelingMixin"]},
        ),
        Seam(
            "test_simpletuner.py",
            ["simpletuner/helpers/training/collate.py", "simpletuner/helpers/training/state_tracker.py"],
            [
                "collate_fn", "compute_prompt_embeddings", "StateTracker.get_default_text_embed_cache",
                "StateTracker.get_model",
            ],
        ),
    ],
}  # fmt: skip


def differences(seam: Seam, standins: Path, checkout: Path) -> list[str]:
    """One sentence for each name that is not in both, or that is called in another way."""
    ours = [_parse(standins / seam.standin)]
    theirs = [_parse(checkout / name) for name in seam.real if (checkout / name).exists()]
    if not theirs:
        return [f"the trainer has none of {', '.join(seam.real)}"]
    return [said for name in seam.names if (said := _difference(name, seam.kinds, ours, theirs))]


def _parse(file: Path) -> ast.Module:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # such as an escape in a string of theirs
        return ast.parse(file.read_text(encoding="utf-8"))


def _difference(name: str, kinds: dict[str, Sequence[str]], ours: list[ast.Module], theirs: list[ast.Module]) -> str:
    kind, _, _ = name.partition(".")
    mine = _find(ours, name, [kind])
    real = _find(theirs, name, kinds.get(kind, [kind]))
    if mine is None or real is None:
        return f"{name}: {'the stand-in' if mine is None else 'the trainer'} has none"
    if mine and real and mine != real:
        return f"{name}: the stand-in takes {', '.join(mine)}; the trainer takes {', '.join(real)}"
    return ""


def _find(trees: list[ast.Module], name: str, kinds: Sequence[str]) -> list[str] | None:
    """The parameters of a function, or [] of what is none; None where it is not there."""
    _, _, member = name.partition(".")
    found = [node for tree in trees for node in ast.walk(tree) if getattr(node, "name", None) in kinds]
    if not member:
        return next((_parameters(node) for node in found if isinstance(node, ast.FunctionDef)), None)
    classes = [node for kind in kinds for node in found if isinstance(node, ast.ClassDef) and node.name == kind]
    members = [parameters for node in classes for key, parameters in _members(node) if key == member]
    return next(iter(members), None)


def _members(kind: ast.ClassDef) -> Iterator[tuple[str, list[str]]]:
    """A class's methods, fields, and what it or its methods assign to ``self``."""
    for node in ast.walk(kind):
        if isinstance(node, ast.FunctionDef):
            yield node.name, _parameters(node)
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            yield node.target.id, []
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store) and ast.unparse(node.value) == "self":
            yield node.attr, []


def _parameters(function: ast.FunctionDef) -> list[str]:
    given = function.args
    names = [argument.arg for argument in (*given.posonlyargs, *given.args, *given.kwonlyargs)]
    return names + [f"*{extra.arg}" for extra in (given.vararg, given.kwarg) if extra is not None]
