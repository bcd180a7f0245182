"""Starts sd_scripts_tiny.py or sd_scripts_flow.py with the launcher or without it.

python sd_scripts.py CHECKOUT OUT plain|logged IMAGES|dataset.toml sd|sd3|flux [options of the family's script, --spawn]
"""

from __future__ import annotations

import os
import runpy
import sys
from pathlib import Path

MODULES = {"sd": "networks.lora", "sd3": "networks.lora_sd3", "flux": "networks.lora_flux"}


def main() -> None:
    """In this process."""
    checkout, out, mode, images, family, *options = sys.argv[1:]
    os.environ |= {"REAL_CHECKOUT": checkout, "REAL_FOUND": f"{out}/found.json", "REAL_FAMILY": family}
    if "--spawn" in options:
        options.remove("--spawn")
        os.environ["REAL_SPAWN"] = "1"
    sys.path[:0] = [str(Path(__file__).parent), checkout]
    script = Path(__file__).with_name("sd_scripts_tiny.py" if family == "sd" else "sd_scripts_flow.py")
    given = {
        "dataset_config" if images.endswith(".toml") else "train_data_dir": images,
        "output_dir": f"{out}/run",
        "output_name": "lora",
        "resolution": "128,128",
    }
    given |= {"train_batch_size": 2, "max_train_steps": 6, "save_every_n_steps": 3, "seed": 1, "learning_rate": 1e-3}
    given |= {"network_module": MODULES[family], "network_dim": 2, "caption_extension": ".txt"}
    given |= {"mixed_precision": "no", "max_data_loader_n_workers": 0, "pretrained_model_name_or_path": "tiny"}
    given |= {"min_bucket_reso": 64, "bucket_reso_steps": 64, "max_bucket_reso": 256}
    arguments = [part for name, value in given.items() for part in (f"--{name}", str(value))]
    arguments += ["--enable_bucket", *options]
    if mode == "logged":
        from loss_logging.integrations.trainers import kohya

        config = Path(out) / "losses.toml"
        config.write_text("[loss_logging]\npaired_fraction = 0.7\ntimeouts = {close = 300}\n", encoding="utf-8")
        kohya.main([str(script), *arguments, "--loss_logging_config", str(config)])
    else:
        sys.argv = [str(script), *arguments]
        runpy.run_path(str(script), run_name="__main__")


if __name__ == "__main__":
    main()
