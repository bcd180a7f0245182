"""How long a folder of captioned images takes to read, to check and to write down, and in how much memory.

Every file is real: images of 8 KB that are all different, captions as .txt beside them, in folders of 5,000 images; one
in a hundred captions has something wrong. Memory is the peak of a process of its own, and what an import alone takes.
"""

from __future__ import annotations

import json
import random
import re
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.table import Results, arguments

WORDS = re.findall(
    r"\w+",
    """a the of in on with and near two three red blue green old small large wooden stone cat dog horse woman man child
    house garden river mountain street window table chair boat train bridge snow light morning photo standing""",
)
BAD = ["untitled", "", "a cat <unk> on a sofa", "a dog &amp; a cat in the snow", "red red red red red red red red red"]
FOLDER = 5_000

# What one process does; it prints seconds, peak memory in MB, and how much it found.
CODE = """
import json, resource, sys, time
{imports}
start = time.perf_counter()
count = {work}
print(json.dumps([time.perf_counter() - start, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, count]))
"""
READ = "from loss_logging.captions.folder.read import read_captioned_folder"
CHECK = """from loss_logging.captions.folder.check import check_folder
from loss_logging.captions.folder.formats import WRITERS"""
IMPORTS = "nothing but the imports"
PATHLIB = "from pathlib import Path"
WAYS = {
    IMPORTS: (CHECK, "time.sleep(0.01)"),
    "pathlib: rglob, read_text": (
        PATHLIB,
        "sum(len(path.read_text('utf-8')) > 0 for path in Path(sys.argv[1]).rglob('*.txt'))",
    ),
    "read": (READ, "sum(1 for _ in read_captioned_folder(sys.argv[1]))"),
    "read and check": (CHECK, "sum(1 for _ in check_folder(sys.argv[1]).findings())"),
    "the same, and look for repairs": (CHECK, "sum(1 for _ in check_folder(sys.argv[1], repair='show').findings())"),
    "read, check, write SARIF": (
        CHECK,
        "WRITERS['sarif'](check_folder(sys.argv[1]), open(sys.argv[1] + '.sarif', 'w'))",
    ),
}


def write_folder(root: Path, images: int) -> None:
    """Images and captions."""
    chance = random.Random(0)
    for i in range(images):
        folder = root / f"set-{i // FOLDER}"
        if i % FOLDER == 0:
            folder.mkdir(parents=True)
        (folder / f"{i:07d}.jpg").write_bytes(chance.randbytes(8_000))
        caption = chance.choice(BAD) if i % 100 == 0 else " ".join(chance.choices(WORDS, k=chance.randint(8, 25)))
        (folder / f"{i:07d}.txt").write_text(caption + "\n", "utf-8")


def measure(way: str, root: Path) -> tuple[float, float, int | None]:
    """Seconds, MB and findings of a process."""
    imports, work = WAYS[way]
    command = [sys.executable, "-c", CODE.format(imports=imports, work=work), str(root)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    seconds, memory, count = json.loads(done.stdout)
    return seconds, memory, count


def main() -> None:
    options = arguments(__doc__)
    results = Results("check_captions", ["charset-normalizer"], options)
    sizes, repeats = ([1_000], 1) if options.quick else ([5_000, 50_000], 3)
    for images in sizes:
        with tempfile.TemporaryDirectory() as folder:
            root = Path(folder, "images")
            start = time.perf_counter()
            write_folder(root, images)
            note = (
                f"Writing them took {time.perf_counter() - start:.0f} s; they are in the file cache. {repeats} repeats."
            )
            rows = []
            for way in WAYS:
                taken = [measure(way, root) for _ in range(repeats)]
                seconds = [one[0] for one in taken]
                rows.append(
                    {
                        "way": way,
                        "median s": statistics.median(seconds),
                        "min..max s": f"{min(seconds):.3g}..{max(seconds):.3g}",
                        "files a second": None if way == IMPORTS else 2 * images / statistics.median(seconds),
                        "peak MB": max(one[1] for one in taken),
                        "found": taken[0][2],
                    }
                )
        results.table(f"{2 * images:,} files: {images:,} images and their captions", rows, note)
    results.finish()


if __name__ == "__main__":
    main()
