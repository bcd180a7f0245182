#!/usr/bin/env bash
# In chDB "cat" is at the distance 0 from "dog" and 1 from "cats", and "a cat on a mat" has the MinHash of "a dog on a bus".
#
# Versions: chdb 4.4.0, chdb-core 26.9.0; Python 3.11
# Behaviour: ngramDistance compares parts of four letters. Texts of up to three have none, and two of them are equal to it, whichever
#   they are: 0, and ngramSearch 1, which its docs call the most similar. Beside a longer text they have nothing in common with it.
#   wordShingleMinHash and wordShingleSimHash, made to find near duplicates, pass over words of up to three letters: all captions
#   of such words have one hash, and "two old dogs" has that of "dogs". A GROUP BY of it keeps one of them. The docs speak of
#   words, not of their length, and the argument for the size of a shingle changes nothing. stringJaccardIndex is right.
# Seen: "cat / dog: distance 0, search 1, jaccard 0", "cat / cats: distance 1, search 0, jaccard 0.75", "8 captions like 'a cat on a mat':
#   1 wordShingleMinHash, 1 wordShingleSimHash", "4 captions like 'a photo of a lighthouse': 4 ..."
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check chdb==4.4.0 chdb-core==26.9.0
cat > "$folder/run.py" <<'PY'
import chdb


def select(what):
    return [float(value) for value in str(chdb.query(f"SELECT {what}", "TSV")).split()]


def pair(first, second, expected):
    found = select(", ".join(f"{name}('{first}', '{second}')" for name in ("ngramDistance", "ngramSearch", "stringJaccardIndex")))
    print(f"{first} / {second}: distance {found[0]:.8g}, search {found[1]:.8g}, jaccard {found[2]:.8g}")
    assert found[0] == expected
    return found


assert pair("cat", "dog", 0)[1:] == [1, 0]
assert pair("", "sun", 0)[1:] == [1, 0]
assert pair("cat", "cats", 1)[2] == 0.75
pair("cats", "dogs", 1)
SHORT = ["a cat on a mat", "a dog on a bus", "the old man and the sea", "big red bus", "a cup of tea", "an egg", "car", "me at a zoo"]
LONG = ["a photo of a lighthouse", "a drawing of a lighthouse", "many people", "a street at night"]
for captions, hashes in ((SHORT, 1), (LONG, 4)):
    found = select(f"uniqExact(wordShingleMinHash(x)), uniqExact(wordShingleSimHash(x)) FROM (SELECT arrayJoin({captions}) AS x)")
    print(f"{len(captions)} captions like {captions[0]!r}: {found[0]:.0f} wordShingleMinHash, {found[1]:.0f} wordShingleSimHash")
    assert found == [hashes, hashes]
hashes = select("wordShingleSimHash('two old dogs'), wordShingleSimHash('dogs'), wordShingleSimHash('cats')")
print("two old dogs has the hash of dogs:", hashes[0] == hashes[1])
assert hashes[0] == hashes[1] != hashes[2]
PY
"$folder/venv/bin/python" "$folder/run.py"
