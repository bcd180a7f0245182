#!/usr/bin/env bash
# timm's ModelEmaV2 and ModelEmaV3 average tied weights twice in each update, and T5's embedding four times.
#
# Versions: timm 1.0.31, transformers 5.24.0, torch 2.14.1; Python 3.11
# Behaviour: the docstring has one decay for "everything in the model state_dict". An embedding that is also the output layer
#   stands there under two names, as in the decoders of captioners, and each name moves the same numbers: its decay is the
#   square of the one that was asked for, in T5 its fourth power. The averaged model has its embedding from another time than the
#   layers beside it. With foreach=True and False; exclude_buffers=True goes through parameters() and is right, and so are
#   AveragedModel of torch and a model whose layers are not tied.
# Seen: "after 100 updates with decay=0.99 this share of the old weights is left, 0.366 by the formula:",
#   "GPT-2 tied: layers 0.366, embedding V2 0.134, V3 0.134, V3 exclude_buffers=True 0.366, torch's AveragedModel 0.366",
#   "GPT-2 not tied: layers 0.366, embedding V2 0.366, ...", "BLIP tied: layers 0.366, embedding V2 0.134, ...",
#   "T5 tied: layers 0.366, embedding V2 0.018, V3 0.018, ..."
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check \
    torch==2.14.1 torchvision==0.29.1 timm==1.0.31 transformers==5.24.0 numpy==2.4.6
cat > "$folder/run.py" <<'PY'
import torch
from timm.utils import ModelEmaV2, ModelEmaV3
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from transformers import BlipConfig, BlipForConditionalGeneration, GPT2Config, GPT2LMHeadModel, T5Config, T5ForConditionalGeneration
from transformers.utils import logging

logging.set_verbosity_error()
SMALL = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}


def gpt2(tied):
    return GPT2LMHeadModel(GPT2Config(n_embd=16, n_layer=1, n_head=2, vocab_size=50, tie_word_embeddings=tied))


def t5():
    return T5ForConditionalGeneration(T5Config(d_model=16, d_kv=8, d_ff=16, num_layers=1, num_heads=2, vocab_size=50))


def blip():
    text = {**SMALL, "vocab_size": 50, "encoder_hidden_size": 16}
    vision = {**SMALL, "image_size": 32, "patch_size": 16}
    return BlipForConditionalGeneration(BlipConfig(text_config=text, vision_config=vision, projection_dim=16))


def fill(model, value):
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.fill_(value)


def left(model):
    """The share of the old weights in the embedding of words and in a layer that is tied to nothing, by each kind of average."""
    fill(model, 1.0)
    averages = {
        "V2": ModelEmaV2(model, decay=0.99),
        "V3": ModelEmaV3(model, decay=0.99),
        "V3 foreach=False": ModelEmaV3(model, decay=0.99, foreach=False),
        "V3 exclude_buffers=True": ModelEmaV3(model, decay=0.99, exclude_buffers=True),
        "torch's AveragedModel": AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(0.99)),
    }
    averages["torch's AveragedModel"].update_parameters(model)  # its first call copies
    fill(model, 0.0)
    for _ in range(100):
        for average in averages.values():
            (getattr(average, "update", None) or average.update_parameters)(model)
    words = model.text_decoder.bert.embeddings.word_embeddings if hasattr(model, "text_decoder") else model.get_input_embeddings()
    name = next(name for name, parameter in model.named_parameters() if parameter is words.weight)
    layer = next(name for name, _ in model.named_parameters() if "attention" in name.lower() or ".attn." in name)
    return {kind: tuple(round(average.module.get_parameter(key).mean().item(), 3) for key in (layer, name))
            for kind, average in averages.items()}


print(f"after 100 updates with decay=0.99 this share of the old weights is left, {0.99**100:.3f} by the formula:")
MODELS = {"GPT-2 tied": (gpt2(True), 2), "GPT-2 not tied": (gpt2(False), 1), "BLIP tied": (blip(), 2), "T5 tied": (t5(), 4)}
seen = {}
for name, (model, _) in MODELS.items():
    seen[name] = left(model)
    print(f"{name}: layers {seen[name]['V3'][0]}, embedding", ", ".join(f"{kind} {share[1]}" for kind, share in seen[name].items()))
for name, (_, times) in MODELS.items():
    for kind, (layer, embedding) in seen[name].items():
        power = times if kind in ("V2", "V3", "V3 foreach=False") else 1
        assert (layer, embedding) == (round(0.99**100, 3), round(0.99 ** (100 * power), 3)), (name, kind)
PY
"$folder/venv/bin/python" "$folder/run.py"
