"""Stand-in for OneTrainer's script."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from types import SimpleNamespace

sys.path.insert(0, str(Path(__file__).absolute().parent.parent))

from modules.trainer.GenericTrainer import GenericTrainer


def main() -> None:
    """Load, train, end."""
    parser = argparse.ArgumentParser(allow_abbrev=False)
    parser.add_argument("--config-path", required=True)
    config = json.loads(Path(parser.parse_args().config_path).read_text(encoding="utf-8"))
    trainer = GenericTrainer(SimpleNamespace(**config), None, None)
    trainer.start()
    trainer.train()
    trainer.end()


if __name__ == "__main__":
    main()
