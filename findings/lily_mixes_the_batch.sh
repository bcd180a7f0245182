#!/usr/bin/env bash
# With peft's Lily a sample's output and loss depend on the other samples of its batch, and a token's on later tokens.
#
# Versions: peft 0.21.2, torch 2.13.0; Python 3.11
# Behaviour: Lily's router weighs its experts for each token, and peft takes the mean of these weights over all tokens of the
#   whole batch, in eval() too. The same picture has another loss beside other pictures; padding, batch size and the order
#   of samples change the result; in a causal model each token sees the later ones. The page of the method says that its
#   routing depends on the data, and not that it does so across samples. LoRA, DoRA, MiSS and RandLora give the same alone
#   and in the batch.
# Seen: "Lily: a sample alone differs from the same one in the batch by 20% of the adapter's effect; a later token changes the
#   earlier ones by 9%", LoRA, DoRA, MiSS, RandLora: "0%" and "0%"
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check torch==2.13.0 peft==0.21.2 numpy==2.4.6
cat > "$folder/run.py" <<'PY'
import torch
from peft import LilyConfig, LoraConfig, MissConfig, RandLoraConfig, get_peft_model

CONFIGS = {"LoRA": LoraConfig(r=8, target_modules=["0"]), "DoRA": LoraConfig(r=8, use_dora=True, target_modules=["0"]),
           "MiSS": MissConfig(r=8, target_modules=["0"]), "RandLora": RandLoraConfig(r=8, target_modules=["0"]),
           "Lily": LilyConfig(r=8, target_modules=["0"])}
for name, config in CONFIGS.items():
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(32, 32))
    tokens = torch.randn(4, 6, 32)  # samples, tokens, numbers
    base = model(tokens).detach()
    model = get_peft_model(model, config).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter += 0.3 * torch.randn_like(parameter)
        whole = model(tokens)
        alone = torch.cat([model(sample[None]) for sample in tokens])
        other = tokens.clone()
        other[:, -1] = 5 * torch.randn(4, 32)
        causal = torch.cat([model(sample[None]) for sample in other])[:, :-1]
    effect = (alone - base).norm()
    batch, later = ((whole - alone).norm() / effect).item(), ((causal - alone[:, :-1]).norm() / effect).item()
    print(f"{name}: a sample alone differs from the same one in the batch by {batch:.0%} of the adapter's effect; "
          f"a later token changes the earlier ones by {later:.0%}")
    assert (batch > 0.02 and later > 0.02) if name == "Lily" else (batch < 1e-4 and later < 1e-4)
PY
"$folder/venv/bin/python" "$folder/run.py"
