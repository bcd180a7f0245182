"""train_text_to_image.py of diffusers, as it is or with the edit of docs/diffusers.md, around a tiny random model.

python diffusers_script.py CHECKOUT OUT plain|logged [options of the script]
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

ROOT = Path(__file__).parents[3]
HUNK = re.compile(r"```diff\n(.*?)```", re.DOTALL)
SEEN = "                # Gather the losses across all processes for logging (if we use distributed training).\n"


def edited(script: str) -> str:
    """The script after every hunk of the document; each has one place in it."""
    for hunk in HUNK.findall((ROOT / "docs" / "diffusers.md").read_text(encoding="utf-8")):
        lines = hunk.splitlines(keepends=True)
        before = "".join(line[1:] or "\n" for line in lines if line[0] != "+")
        after = "".join(line[1:] or "\n" for line in lines if line[0] != "-")
        if script.count(before) != 1:
            raise SystemExit(f"docs/diffusers.md does not fit: {script.count(before)} places for\n{before}")
        script = script.replace(before, after)
    return script


def images(folder: Path) -> None:
    """Twelve pictures; two of them have two captions each, of which the script draws one."""
    from PIL import Image

    folder.mkdir(exist_ok=True)
    rows = []
    for i in range(12):
        Image.new("RGB", (24 + i, 32), (20 * i, 128, 255 - 20 * i)).save(folder / f"{i}.png")
        rows.append({"file_name": f"{i}.png", "text": [f"picture {i}"] * (2 if i < 2 else 1)})
    (folder / "metadata.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


def clip_tokenizer(folder: Path) -> None:
    """In the place of the pipeline's: the script reads CLIP's two files. A token is a letter."""
    for file in folder.iterdir():
        file.unlink()
    letters = "abcdefghijklmnopqrstuvwxyz0123456789"
    tokens = [*letters, *(f"{letter}</w>" for letter in letters), "<|startoftext|>", "<|endoftext|>"]
    (folder / "vocab.json").write_text(json.dumps({token: i for i, token in enumerate(tokens)}))
    (folder / "merges.txt").write_text("#version: 0.2\n")
    (folder / "tokenizer_config.json").write_text('{"tokenizer_class": "CLIPTokenizer", "model_max_length": 77}')
    index = folder.parent / "model_index.json"
    index.write_text(re.sub("PreTrainedTokenizerFast|TokenizersBackend", "CLIPTokenizer", index.read_text()))


def main() -> None:
    """Train, and write what the script's own loop saw."""
    checkout, out, mode, *options = sys.argv[1:]
    sys.path.insert(0, str(ROOT / "tests" / "integrations" / "trainers"))
    import tiny_pipelines

    images(Path(out) / "images")
    tiny_pipelines.stable_diffusion(tiny_pipelines.ddpm()).save_pretrained(f"{out}/model")
    clip_tokenizer(Path(out) / "model" / "tokenizer")
    file = Path(checkout) / "examples" / "text_to_image" / "train_text_to_image.py"
    script = file.read_text(encoding="utf-8")
    script = edited(script) if mode == "logged" else script
    assert script.count(SEEN) == 1
    script = script.replace(SEEN, f"                SCALARS.append(loss.item())\n{SEEN}")
    given = {"pretrained_model_name_or_path": f"{out}/model", "train_data_dir": f"{out}/images", "resolution": 16}
    given |= {"output_dir": f"{out}/run", "train_batch_size": 3, "max_train_steps": 6, "checkpointing_steps": 3}
    given |= {"seed": 0, "learning_rate": 1e-3, "image_column": "image", "caption_column": "text"}
    given |= {"cache_dir": f"{out}/cache", "logging_dir": "logs"}
    sys.argv = [str(file), *(part for name, value in given.items() for part in (f"--{name}", str(value))), *options]
    scalars: list[float] = []
    exec(compile(script, str(file), "exec"), {"__name__": "__main__", "__file__": str(file), "SCALARS": scalars})
    Path(out, "found.json").write_text(json.dumps({"scalars": scalars}))


if __name__ == "__main__":
    main()
