#!/usr/bin/env bash
# LyCORIS trains a DyLoRA with 4 to 16 times the effect that its saved file has, and draws its size anew in eval() too.
#
# Versions: lycoris-lora 4.1.3, torch 2.13.0; Python 3.11
# Behaviour: rank 16 with alpha 16, in blocks of four. Each step of training draws how many blocks it uses, and divides alpha
#   by the number of blocks, where all other algorithms divide it by the rank: 16 / 1 to 16 / 4. It does so after eval() as
#   well, so that two validations or previews of one state are of two models. The file has the whole weights beside alpha 16
#   at rank 16, and all that load it, LyCORIS' own create_lycoris_from_weights too, divide by 16: a picture made from
#   the file has at most a quarter of what was trained. LoRA is loaded as it was trained. Nothing warns.
# Seen: "lora: trained {16: 1.0}, eval {16: 1.0}, loaded {16: 1.0}",
#   "dylora: trained {4: 16.0, 8: 8.0, 12: 5.33, 16: 4.0}, eval the same, loaded {16: 1.0}"
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check torch==2.13.0 lycoris-lora==4.1.3 numpy==2.4.6
cat > "$folder/run.py" <<'PY'
import copy, logging, random, sys
import torch
logging.disable(logging.CRITICAL)
from lycoris import LycorisNetwork, create_lycoris, create_lycoris_from_weights
from safetensors.torch import load_file

LycorisNetwork.apply_preset({"target_module": ["Linear"]})
RANK = 16


@torch.no_grad()
def factors(algorithm):
    """How often the output has the file's first 4, 8, 12 or 16 ranks at alpha / rank: in training, in eval, when loaded."""
    random.seed(0), torch.manual_seed(0)
    net, picture = torch.nn.Sequential(torch.nn.Linear(32, 32)).eval(), torch.randn(5, 32)
    fresh, base = copy.deepcopy(net), net(picture)
    adapter = create_lycoris(net, 1.0, linear_dim=RANK, linear_alpha=RANK, algo=algorithm)
    adapter.apply_to()
    for parameter in adapter.parameters():
        parameter.add_(0.1 * torch.randn_like(parameter))
    file = f"{sys.argv[1]}/{algorithm}.safetensors"
    adapter.save_weights(file, torch.float32, {})
    weights = {key.split(".", 1)[1]: value for key, value in load_file(file).items()}
    assert weights["alpha"] == RANK and weights["lora_down.weight"].shape == (RANK, 32)

    def factor(effect):
        for rank in (4, 8, 12, 16):
            plain = picture @ (weights["lora_up.weight"][:, :rank] @ weights["lora_down.weight"][:rank]).T
            if torch.cosine_similarity(plain.flatten(), effect.flatten(), dim=0) > 0.9999:
                return rank, round((effect.norm() / plain.norm()).item(), 2)

    adapter.train(), net.train()
    trained = dict(sorted({factor(net(picture) - base) for _ in range(60)}))
    adapter.eval(), net.eval()
    preview = dict(sorted({factor(net(picture) - base) for _ in range(60)}))
    loaded, _ = create_lycoris_from_weights(1.0, file, fresh)
    loaded.apply_to()
    loaded.eval()
    return trained, preview, dict([factor(fresh(picture) - base)])


for algorithm, expected in (("lora", ({16: 1.0}, {16: 1.0}, {16: 1.0})),
                            ("dylora", ({4: 16.0, 8: 8.0, 12: 5.33, 16: 4.0},) * 2 + ({16: 1.0},))):
    trained, preview, loaded = factors(algorithm)
    print(f"{algorithm}: trained {trained}, eval {preview}, loaded {loaded}")
    assert (trained, preview, loaded) == expected
PY
"$folder/venv/bin/python" "$folder/run.py" "$folder"
