"""All networks of keras.applications beside Keras itself -> docs/reference/applications.md.

python benchmarks/applications.py [NAME ...]     one process for each, one after the other; rows are replaced

The suite checks five of them in this way (tests/networks/test_applications.py); this measures all 40.
"""

import json
import os
import re
import subprocess
import sys
import time
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "reference" / "applications.md"
LAST = ("EfficientNetV2L", "EfficientNetB7", "ConvNeXtLarge", "ConvNeXtXLarge", "NASNetLarge")
COLUMNS = ("network", "layers", "smallest image, px", "checked at, px", "early", "middle", "late", "logit",
           "score", "seconds", "MiB", "seconds of the list")  # fmt: skip
TEXT = """\
# Networks of keras.applications

Networks of keras.applications with random weights, their top included, beside Keras itself. `python
benchmarks/applications.py` writes this page. Measured with deepvis {deepvis}, Keras {keras}, TensorFlow
{tensorflow}, float32 on the processor.

- **layers**: how many `deepvis layers` lists; it refuses none. Channels and strides are compared with Keras.
- **smallest image**: that the class takes. **checked at**: the smallest that the constructor takes, too.
- **early, middle, late, logit**: the largest difference between deepvis and Keras on the final image, before
  and behind the nonlinearity, as a part of the layer's largest value. The reference is built by the network's
  own constructor at that size and fed by its own `preprocess_input`. 1e-4 is allowed.
- **score**: likewise, of the last row of the history.
- **seconds**: of the processor (all threads), for {steps} steps that raise the logit of one class. Building
  the network and comparing it with the model are part of it.
- **MiB**: the most memory of that process, TensorFlow and the user's model included.
- **seconds of the list**: of the processor, from the start of Python on, as `deepvis layers` makes it.

Biases and what batch normalization holds are random as well: their first values, 0 and 1, would hide errors.
With such weights a deep network may be chaotic: the last bit of its pixels moves the logits, in Keras too.
In those with a star batch normalization therefore holds the statistics of a batch of noise. EfficientNets
whose padding depends on the size that they are constructed for are constructed for the size that is checked.

{table}
"""


def main(names: list[str]) -> int:
    rows, known = read(), all_names()
    failed = 0
    for name in names or known:
        row = measured(name)
        if row is None:
            failed += 1
            continue
        rows[name] = row
        write(rows, known)
    return failed


def all_names() -> list[str]:
    """Of every network, the largest last."""
    code = "from deepvis import networks; print(*networks.applications())"
    found = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    names = found.stdout.split()
    return sorted(names, key=lambda name: (name in LAST, LAST.index(name) if name in LAST else 0))


def measured(name: str) -> list[str] | None:
    """A row; None where the network does not equal Keras', which is said."""
    ran = subprocess.run([sys.executable, __file__, "--one", name], capture_output=True, text=True)
    if ran.returncode:
        last = ran.stderr.strip().rpartition("\n")[2]
        print(f"{name}: exit code {ran.returncode}: {last}", file=sys.stderr)
        return None
    found = json.loads(ran.stdout.splitlines()[-1])
    far = {check: value for check, value in found["differences"].items() if not value <= 1e-4}
    if far or found["wrong"]:
        print(f"{name}: {far} {found['wrong']}", file=sys.stderr)
        return None
    groups = [("early",), ("middle",), ("late",), ("logit", "probability"), ("score",)]
    largest = [max(v for k, v in found["differences"].items() if k.startswith(group)) for group in groups]
    called = f"{name} *" if found["calibrated"] else name
    row = [called, found["layers"], found["smallest"], found["size"], *(f"{each:.1g}" for each in largest),
           f"{found['seconds']:.0f}", found["memory"], f"{found['listed']:.1f}"]  # fmt: skip
    print(*row, flush=True)
    return list(map(str, row))


def one(name: str) -> None:
    """List a network as `deepvis layers` does, check it, and print what was found."""
    import deepvis

    deepvis.layers({"preset": "keras", "name": name, "weights": None})
    seconds = time.process_time()  # since the process began
    sys.path.insert(0, str(ROOT / "tests"))
    from helpers import applications

    print(json.dumps(asdict(applications.check(name)) | {"listed": seconds}))


def read() -> dict[str, list[str]]:
    """The rows of the page, by network."""
    text = PAGE.read_text() if PAGE.is_file() else ""
    found = re.findall(r"^\| ([A-Z]\w+)(?: \*)? \|.*$", text, re.M)
    lines = re.findall(r"^\| [A-Z]\w+(?: \*)? \|.*$", text, re.M)
    return {
        name: [each.strip() for each in line.strip("|").split("|")]
        for name, line in zip(found, lines, strict=True)
    }


def write(rows: dict[str, list[str]], known: list[str]) -> None:
    """The page, which says what networks it lacks."""
    lines = [list(COLUMNS), ["---"] + ["---:"] * (len(COLUMNS) - 1), *(rows[name] for name in sorted(rows))]
    table = "\n".join(f"| {' | '.join(line)} |" for line in lines)
    missing = ", ".join(sorted(set(known) - rows.keys()))
    table += f"\n\nNot measured yet: {missing}." if missing else ""
    versions = {name: version(name) for name in ("deepvis", "keras", "tensorflow")}
    PAGE.write_text(TEXT.format(table=table, steps=2, **versions))


if __name__ == "__main__":
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    if sys.argv[1:2] == ["--one"]:
        one(sys.argv[2])
    else:
        sys.exit(main(sys.argv[1:]))
