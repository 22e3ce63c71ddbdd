"""Laws of checkpoints: a job that is interrupted and resumed is the uninterrupted one, bit for bit.

Each case is run once in one go, and once so that every process ends after its first snapshot.
"""

import json
from pathlib import Path

import numpy as np
import pytest
from helpers.configs import job_of, members

from deepvis.results import checkpoint_file, result_folder
from deepvis.sweeps import checkpoints, runner
from deepvis.sweeps.checkpoints import Checkpoints
from deepvis.tracking import none

QUICK = ("steps=6", "size=16", "snapshot_every=2", "twins=1", "layer.filters=0-2")


class Interrupt(BaseException):
    """A Ctrl-C, at a snapshot."""


def queue_of(folder: Path, *many: tuple[str, ...], resume: bool = False):
    word = ("resume=latest",) if resume else ()
    queue = [job_of(folder / str(i), *QUICK, *overrides, *word) for i, overrides in enumerate(many)]
    for job in queue:
        job.folder.mkdir(parents=True, exist_ok=True)
    return queue


def snapshots_of(queue, monkeypatch, most: int = 10**9) -> int:
    """Run jobs up to a snapshot; how many there were."""
    seen, real = [], Checkpoints.note

    def note(self, *given):
        real(self, *given)
        seen.append(given)
        if len(seen) >= most:
            raise Interrupt

    monkeypatch.setattr(Checkpoints, "note", note)
    try:
        assert runner.run(queue, none.NoTracker(), "test") == {}
    except Interrupt:
        pass
    finally:
        monkeypatch.setattr(Checkpoints, "note", real)
    return len(seen)


def all_of(folder: Path) -> dict[str, dict[str, object]]:
    """All that the jobs in a folder left, by job: arrays, pictures and figures, without the times."""
    kept = {}
    for place in sorted(folder.glob("*/result")):
        result = result_folder.read(place)
        arrays = {f"{name}/{key}": values for name in result_folder.ARRAYS
                  for key, values in getattr(result, name).items()}  # fmt: skip
        pictures = {str(path.relative_to(place)): path.read_bytes() for path in place.rglob("*.png")}
        figures = {key: value for key, value in result.figures.items() if not key.startswith("time/")}
        kept[place.parent.name] = (
            arrays | pictures | {"figures": json.dumps(figures), "ends": list(result.ends)}
        )
    return kept


def same(ours: Path, theirs: Path) -> None:
    ours, theirs = all_of(ours), all_of(theirs)
    assert ours.keys() == theirs.keys() and ours
    for job, kept in ours.items():
        assert kept.keys() == theirs[job].keys()
        for name, value in kept.items():
            other = theirs[job][name]
            if isinstance(value, np.ndarray):
                np.testing.assert_array_equal(value, other, err_msg=f"{job} {name}", strict=True)
            else:
                assert value == other, (job, name)


def interrupted_everywhere(many, tmp_path, monkeypatch) -> None:
    """Run jobs in one go, and in as many runs as they have snapshots; both are to give the same."""
    count = snapshots_of(queue_of(tmp_path / "one", *many), monkeypatch)
    assert count > 2
    assert checkpoint_file.paths(tmp_path / "one") == []
    pieces = tmp_path / "pieces"
    assert snapshots_of(queue_of(pieces, *many), monkeypatch, 1) == 1
    for number in range(count - 1):
        assert snapshots_of(queue_of(pieces, *many, resume=True), monkeypatch, 1) == 1, number
    # All snapshots were computed once: what is left is to write the results down.
    assert snapshots_of(queue_of(pieces, *many, resume=True), monkeypatch) == 0
    same(pieces, tmp_path / "one")
    assert [path.name for path in pieces.iterdir() if path.name.startswith(".checkpoint")] == []


CASES = {f"optimizer {name}": (f"optimizer={name}", "start=pink") for name in members("optimizer")}
CASES |= {f"param {name}": (f"param={name}", "start=pink", "optimizer=adam") for name in members("param")}
CASES |= {f"transform {name}": (f"transform={name}", "size=48") for name in ("jitter", "robust", "crops")}
CASES |= {
    "optimizer lbfgs": ("optimizer=lbfgs", "reg.clip_pixels=true"),
    "lbfgs of a spectrum": ("optimizer=lbfgs", "param=fourier", "start=pink"),
    "lbfgs in octaves": ("optimizer=lbfgs", "reg.clip_pixels=true", "param=octaves", "param.octaves=2"),
    "octaves end between snapshots": ("param=octaves", "param.octaves=3", "steps=8", "snapshot_every=3",
                                           "optimizer=adam"),
    "more octaves than steps": ("param=octaves", "param.octaves=9", "steps=6", "param.octave_scale=1.05",
                                "snapshot_every=1"),
    "joint": ("objective=diversity", "batch_size=2"),
    "regularizers": ("reg=combined", "reg.combine=mix", "reg.blur_every=2", "reg.value_percentile=5"),
    "small batches": ("batch_size=1", "optimizer=adam", "transform=jitter"),
    "no longer finite": ("optimizer=sgd", "optimizer.learning_rate=3e37", "reg=none"),
    "without robustness": ("robustness=false", "twins=0", "layer.filters=[11,3]"),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_a_job_interrupted_at_each_snapshot_is_the_uninterrupted_one(case, tmp_path, monkeypatch):
    if case == "no longer finite":
        monkeypatch.setattr(runner.events, "report_failure", lambda *_: None)
    interrupted_everywhere([CASES[case]], tmp_path, monkeypatch)


@pytest.mark.parametrize("case", ["optimizer adam", "param octaves", "transform robust"])
def test_going_on_traces_no_graph_again(case, tmp_path, monkeypatch):
    made, real = [], runner.program.compiled
    monkeypatch.setattr(runner.program, "compiled", lambda *given: made.append(real(*given)) or made[-1])
    folder = tmp_path / "pieces"
    interrupted(folder, [CASES[case]], monkeypatch, 2)

    def counts():
        graphs = ("begin", "advance", "show", "finish")
        return [getattr(made[-1].ascent, name).experimental_get_tracing_count() for name in graphs]

    before = counts()
    assert min(before) > 0
    snapshots_of(queue_of(folder, CASES[case], resume=True), monkeypatch)
    assert made[-1] is made[0] and counts() == before


UNEQUAL = (
    ("steps=2", "seed=1"), ("steps=6", "layer.filters=0-4"), ("steps=5", "reg.decay=0.9", "twins=0"),
    ("steps=1",), ("steps=6", "optimizer.learning_rate=3", "twins=2"),
)  # fmt: skip


@pytest.mark.parametrize("batch_size", [4, 16])
@pytest.mark.parametrize("optimizer", ["normalized", "adam"])
def test_packed_jobs_of_unequal_steps_likewise(batch_size, optimizer, tmp_path, monkeypatch):
    many = [(*each, f"optimizer={optimizer}", f"batch_size={batch_size}") for each in UNEQUAL]
    if optimizer == "adam":
        many = [tuple(o for o in each if not o.startswith("optimizer.")) for each in many]
    interrupted_everywhere(many, tmp_path, monkeypatch)


def interrupted(folder: Path, many, monkeypatch, at: int) -> list[Path]:
    """Run jobs in one go beside the folder and up to a snapshot in it; returns the checkpoints."""
    snapshots_of(queue_of(folder.with_name("one"), *many), monkeypatch)
    snapshots_of(queue_of(folder, *many), monkeypatch, at)
    found = checkpoint_file.paths(folder)
    assert found
    return found


@pytest.mark.parametrize("at", [2, 5, 7])
def test_packed_jobs_go_on_one_by_one(at, tmp_path, monkeypatch):
    """As with another launcher: what shares a batch is not what did."""
    many = [(*each, "batch_size=4") for each in UNEQUAL]
    folder = tmp_path / "pieces"
    interrupted(folder, many, monkeypatch, at)
    for number in reversed(range(len(many))):
        queue = queue_of(folder, *many, resume=True)[number:][:1]
        snapshots_of(queue, monkeypatch)
    same(folder, tmp_path / "one")
    assert checkpoint_file.paths(folder) == []


def test_a_short_job_writes_none_and_a_long_one_after_the_interval(tmp_path, monkeypatch):
    written, real = [], checkpoint_file.write
    monkeypatch.setattr(checkpoint_file, "write", lambda *given: (written.append(given[0]), real(*given)))
    snapshots_of(queue_of(tmp_path / "short", ("steps=6",)), monkeypatch)
    assert written == []
    monkeypatch.setattr(checkpoints, "INTERVAL", 0)
    monkeypatch.setattr(checkpoints, "SHARE", np.inf)
    count = snapshots_of(queue_of(tmp_path / "long", ("steps=6",)), monkeypatch)
    assert len(written) == count
    assert checkpoint_file.paths(tmp_path / "long") == []


def test_one_that_took_long_is_followed_by_a_long_pause(tmp_path, monkeypatch):
    clock = iter(np.arange(0, 1e6, 2.0))  # each look at the clock is two seconds later
    monkeypatch.setattr(checkpoints.time, "monotonic", lambda: next(clock))
    (group,) = runner.jobs.job_groups(queue_of(tmp_path, ()))
    made = Checkpoints(group)
    assert made.next == 30
    made.write({})
    assert made.next == 4 + 2 / checkpoints.SHARE


def flipped(data: bytes) -> bytes:
    middle = len(data) // 2
    return data[:middle] + bytes([data[middle] ^ 1]) + data[middle + 1 :]


TORN = {
    "empty": lambda data: b"",
    "half": lambda data: data[: len(data) // 2],
    "its end is missing": lambda data: data[:-1],
    "one bit": flipped,
    "zeros": lambda data: bytes(len(data)),
    "text": lambda data: b"no checkpoint",
}


@pytest.mark.parametrize("how", TORN)
def test_a_torn_one_is_named_and_not_used(how, tmp_path, monkeypatch, capsys):
    many, folder = [("optimizer=adam",)], tmp_path / "pieces"
    (path,) = interrupted(folder, many, monkeypatch, 2)
    path.write_bytes(TORN[how](path.read_bytes()))
    capsys.readouterr()
    assert snapshots_of(queue_of(folder, *many, resume=True), monkeypatch) == 3  # from the start
    (line,) = [line for line in capsys.readouterr().out.splitlines() if "checkpoint" in line]
    assert path.name in line and "torn" in line
    same(folder, tmp_path / "one")
    assert checkpoint_file.paths(folder) == []


@pytest.mark.parametrize("bit", range(0, 100, 9))
def test_no_bit_of_a_file_can_change_unseen(bit, tmp_path):
    path, values = tmp_path / "x.npz", np.arange(100, dtype=np.float32)
    checkpoint_file.write(path, {"a": 1}, {"0/values": values})
    data = bytearray(path.read_bytes())
    data[len(data) * bit // 100] ^= 16
    path.write_bytes(data)
    try:
        header, arrays = checkpoint_file.read_header(path), checkpoint_file.read_arrays(path)
    except checkpoint_file.TornError:
        return
    assert header == {"a": 1}  # a bit that says nothing, such as a date's
    assert arrays.keys() == {"0/values"}
    np.testing.assert_array_equal(arrays["0/values"], values, strict=True)


def test_one_of_other_bits_is_named_and_not_used(tmp_path, monkeypatch, capsys):
    many, folder = [("optimizer=adam",)], tmp_path / "pieces"
    (path,) = interrupted(folder, many, monkeypatch, 2)
    capsys.readouterr()
    changes = {
        "snapshot_every": lambda header: header | {"snapshot_every": 3},
        "versions": lambda header: header | {"versions": header["versions"] | {"tensorflow": "1.0"}},
        "device": lambda header: header | {"device": "gpu"},
        "weights": lambda header: header | {"weights": "0"},
        "format": lambda header: header | {"format": 0},
        "key": lambda header: json.loads(
            json.dumps(header).replace(queue_of(folder, *many)[0].key, "0" * 12)
        ),
    }
    header, arrays = checkpoint_file.read_header(path), checkpoint_file.read_arrays(path)
    for what, change in changes.items():
        checkpoint_file.write(path, change(header), arrays)
        assert Checkpoints(next(runner.jobs.job_groups(queue_of(folder, *many, resume=True)))).load(
            {"device": "cpu", "weights.digest": header["weights"]}
        ) == {}, what  # fmt: skip
        said = capsys.readouterr().out
        assert said.count("\n") == 1 and path.name in said and what in said, said
    assert snapshots_of(queue_of(folder, *many, resume=True), monkeypatch) == 3
    same(folder, tmp_path / "one")
    assert checkpoint_file.paths(folder) == []


def test_a_sweep_that_is_not_resumed_starts(tmp_path, monkeypatch):
    many, folder = [("optimizer=adam",)], tmp_path / "pieces"
    interrupted(folder, many, monkeypatch, 2)
    assert snapshots_of(queue_of(folder, *many), monkeypatch) == 3


def test_a_full_disk_is_said_once_and_the_job_goes_on(tmp_path, monkeypatch, caplog):
    def full(file, **arrays):
        file.write(b"some")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(checkpoints, "INTERVAL", 0)
    monkeypatch.setattr(checkpoints, "SHARE", np.inf)
    monkeypatch.setattr(checkpoint_file.np, "savez", full)
    assert snapshots_of(queue_of(tmp_path / "full", ("steps=6",)), monkeypatch) == 3
    lines = [record.getMessage() for record in caplog.records]
    assert len(lines) == 1 and "no checkpoint" in lines[0] and "No space left" in lines[0]
    monkeypatch.undo()
    snapshots_of(queue_of(tmp_path / "one", ("steps=6",)), monkeypatch)
    same(tmp_path / "full", tmp_path / "one")
    assert not list((tmp_path / "full").glob(".checkpoint*"))


def test_an_interrupt_while_lbfgs_is_between_snapshots_keeps_the_last_checkpoint(tmp_path, monkeypatch):
    """Its memory changes in place: what it is in the midst of a chunk belongs to no snapshot."""
    from deepvis.ascent import lbfgs

    many, folder, real = (
        [("optimizer=lbfgs", "reg.clip_pixels=true")],
        tmp_path / "pieces",
        lbfgs.Search.advance,
    )
    snapshots_of(queue_of(tmp_path / "one", *many), monkeypatch)
    calls = []

    def advance(self):
        calls.append(self)
        if len(calls) == 17:  # of six images, in the second chunk of two steps
            raise Interrupt
        return real(self)

    monkeypatch.setattr(lbfgs.Search, "advance", advance)
    assert snapshots_of(queue_of(folder, *many), monkeypatch) == 1
    assert checkpoint_file.paths(folder) == []
    monkeypatch.setattr(lbfgs.Search, "advance", real)
    assert snapshots_of(queue_of(folder, *many, resume=True), monkeypatch) == 3
    same(folder, tmp_path / "one")
