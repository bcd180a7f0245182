#!/usr/bin/env bash
# The HF Trainer multiplies loss and gradient of BLIP and ViT-GPT-2 by the steps of accumulation, of GIT it does not.
#
# Versions: transformers 5.24.0, accelerate 1.15.0, torch 2.13.0; Python 3.11
# Behaviour: one step over the same four captioned pictures, as one batch, two and four. A model whose forward takes
#   **kwargs is trusted to divide its loss by the number of labels that it is handed, and the Trainer then divides no more.
#   BLIP and VisionEncoderDecoderModel take **kwargs and do not read the number: with four steps of accumulation the logged
#   loss is four times as high, and so is the gradient before it is clipped. GIT reads it: same loss each time.
# Seen: "blip [3.91, 7.82, 15.6]", "vision encoder decoder [3.88, 7.76, 15.5]", "git [3.89, 3.89, 3.89]"
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check torch==2.13.0 transformers==5.24.0 accelerate==1.15.0 numpy==2.4.6
cat > "$folder/run.py" <<'PY'
import os, sys
os.environ["HF_HUB_OFFLINE"] = "1"
import torch, transformers as t

t.logging.set_verbosity_error()
SMALL = dict(hidden_size=16, intermediate_size=16, num_hidden_layers=1, num_attention_heads=2)
STILL = dict(hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0)
WORDS = dict(vocab_size=50, bos_token_id=1, eos_token_id=2, pad_token_id=0)
EYE = dict(image_size=8, patch_size=4, **SMALL)


def blip():
    text = dict(max_position_embeddings=8, encoder_hidden_size=16, sep_token_id=2, **STILL, **SMALL, **WORDS)
    return t.BlipForConditionalGeneration(t.BlipConfig(text_config=text, vision_config=EYE, projection_dim=16))


def vision_encoder_decoder():
    still = dict(resid_pdrop=0.0, embd_pdrop=0.0, attn_pdrop=0.0)
    words = t.GPT2Config(n_embd=16, n_layer=1, n_head=2, add_cross_attention=True, **still, **WORDS)
    config = t.VisionEncoderDecoderConfig.from_encoder_decoder_configs(t.ViTConfig(**STILL, **EYE), words)
    config.decoder_start_token_id, config.pad_token_id = 1, 0
    return t.VisionEncoderDecoderModel(config)


def git():
    return t.GitForCausalLM(t.GitConfig(vision_config=EYE, **STILL, **SMALL, **WORDS))


torch.manual_seed(0)
pictures, captions = torch.randn(4, 3, 8, 8), torch.randint(3, 50, (4, 6))
seen = {}
for make in (blip, vision_encoder_decoder, git):
    losses = []
    for steps in (1, 2, 4):
        torch.manual_seed(0)
        rows = [{"pixel_values": p, "labels": c} | ({} if make is vision_encoder_decoder else {"input_ids": c})
                for p, c in zip(pictures, captions)]
        arguments = t.TrainingArguments(
            sys.argv[1], per_device_train_batch_size=4 // steps, gradient_accumulation_steps=steps, max_steps=1,
            logging_steps=1, learning_rate=0.0, use_cpu=True, report_to="none", disable_tqdm=True, save_strategy="no",
            remove_unused_columns=False)
        trainer = t.Trainer(make(), arguments, train_dataset=rows)
        trainer.remove_callback(t.PrinterCallback)
        trainer.train()
        losses.append(trainer.state.log_history[0]["loss"])
    seen[make.__name__] = losses
    print(make.__name__.replace("_", " "), [float(f"{loss:.3g}") for loss in losses])
for name, (one, two, four) in seen.items():
    factor = 1 if name == "git" else 2
    assert abs(two / one - factor) < 0.02 and abs(four / one - factor**2) < 0.04, name
PY
"$folder/venv/bin/python" "$folder/run.py" "$folder"
