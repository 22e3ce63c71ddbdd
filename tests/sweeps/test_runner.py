"""Laws of the packed launcher: its jobs are what they are alone, and each fails alone.

Real command lines, in forked processes: see `helpers.processes`.
"""

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from helpers.configs import job_of
from helpers.processes import (
    QUIET,
    TINY,
    Said,
    advised,
    entry_of,
    group,
    line_of,
    newest,
    pixels,
    runs_of,
    same,
    states,
    statuses,
    store_of,
)

from deepvis.ascent import program
from deepvis.results import manifest, result_folder
from deepvis.sweeps import runner
from deepvis.tracking import none

# --- packed is what basic is -------------------------------------------------------------------------

SWEEPS = {
    "numbers of reg": ["reg.decay=0.8,1", "reg.blur=0,3", "reg.norm_percentile=0,30"],
    "seed and steps": ["seed=0,7", "steps=1,2,5", "snapshot_every=2", "reg.decay=0.9"],
    "filters": ["layer.filters=0,11,'2-4'", "reg.contribution_percentile=0,20"],
    "learning_rate": ["optimizer.learning_rate=0.1,0.9,3", "reg.value_percentile=0,5", "batch_size=3"],
    "mixed static_configs": ["reg.combine=chain,mix", "size=16,24", "reg.decay=0.8,0.9", "reg.blur=3"],
}


@pytest.mark.parametrize("which", SWEEPS)
def test_packed_and_basic_give_the_same_to_the_last_bit(which, forker, tmp_path):
    for place, more in (("packed", []), ("basic", ["hydra/launcher=basic"])):
        said = forker.run(tmp_path / place, "-m", *QUIET, *SWEEPS[which], *more)
        assert (said.code, said.err) == (0, "")
    packed, basic = (pixels(newest(tmp_path / place)) for place in ("packed", "basic"))
    same(packed, basic)
    # Not because nothing that was swept had an effect: no two jobs are alike.
    assert len({kept["history.image_rms"] for kept in packed.values()}) == len(packed)


def test_the_default_of_m_is_packed_and_basic_is_chosen_by_config(forker, tmp_path):
    """Told by what only one of them can do: a pack of several jobs has one bar."""
    typed = ["-m", *QUIET, "reg.decay=0.8,0.9,1"]
    assert "3 jobs  step" in forker.run(tmp_path, *typed).out
    assert "3 jobs  step" in forker.run(tmp_path, *typed, "hydra/launcher=packed").out
    assert "jobs  step" not in forker.run(tmp_path, *typed, "hydra/launcher=basic").out


# --- one trace a static_config, in process ----------------------------------------------------------------


def counted(monkeypatch):
    """The graphs that are asked for, each once."""
    made, real = {}, program.compiled

    def compiled(*key):
        made[key] = real(*key)
        return made[key]

    program._compiled.cache_clear()
    monkeypatch.setattr(program, "compiled", compiled)
    return made


def queue_of(folder, *many):
    queue = [job_of(folder / str(i), "steps=2", "size=16", *overrides) for i, overrides in enumerate(many)]
    for job in queue:
        job.folder.mkdir(parents=True)
    return queue


def ran(queue, into=None):
    into = none.NoTracker() if into is None else into
    return runner.run(queue, into, "test"), into


def read(queue):
    return {job.key: result_folder.read(job.folder / "result").history for job in queue}


def same_histories(ours, theirs):
    assert ours.keys() == theirs.keys()
    for key, history in ours.items():
        assert history.keys() == theirs[key].keys()
        for name, values in history.items():
            np.testing.assert_array_equal(values, theirs[key][name], err_msg=f"{key} {name}", strict=True)


@pytest.mark.parametrize("batch_size", [2, 7, 16])
def test_forty_jobs_of_one_skeleton_are_traced_once(batch_size, monkeypatch, tmp_path, capsys):
    made = counted(monkeypatch)
    many = [
        (f"reg.decay={d}", f"reg.blur={b}", f"seed={s}", f"steps={t}", f"optimizer.learning_rate={r}")
        for d, r in ((0.8, 0.1), (0.9, 2))
        for b in (0, 3)
        for s in (0, 1)
        for t in (1, 2, 3, 4, 7)
    ]
    queue = queue_of(tmp_path, *((*each, "snapshot_every=3", f"batch_size={batch_size}") for each in many))
    lost, into = ran(queue)
    assert lost == {} and {run["status"] for run in into.runs.values()} == {"FINISHED"}
    (graphs,) = (each.ascent for each in made.values())
    assert [each.experimental_get_tracing_count() for each in (graphs.advance, graphs.finish)] == [1, 1]
    said = capsys.readouterr().out
    told = "by the first steps, for no sweep of that layer has run here"
    assert re.search(rf"^estimate  about \d+ s, {told}$", said, re.M) and said.count("estimate") == 1
    assert said.index("estimate") < said.index("step 3/"), "by the first step that is measured, the second"


def test_every_skeleton_is_traced_once_however_its_jobs_are_mixed(monkeypatch, tmp_path):
    made = counted(monkeypatch)
    kinds = [("reg.combine=mix",), ("size=24",), ("optimizer=sgd",), ()]
    queue = queue_of(tmp_path, *((*kinds[i % 4], f"reg.decay={0.8 + i / 100}") for i in range(16)))
    assert ran(queue)[0] == {}
    assert [each.ascent.advance.experimental_get_tracing_count() for each in made.values()] == [1] * 4


@pytest.mark.parametrize("batch_size", [1, 3, 16])
def test_the_order_of_the_jobs_and_who_shares_a_batch_change_nothing(batch_size, tmp_path):
    many = [
        (f"reg.decay={d}", f"reg.norm_percentile={n}", f"steps={s}", f"batch_size={batch_size}")
        for d, n, s in ((0.8, 0, 2), (1, 30, 5), (0.9, 10, 3), (0.7, 0, 1), (1, 50, 4))
    ]
    first = queue_of(tmp_path / "a", *many)
    assert ran(first)[0] == {}
    for seed in (0, 1):
        order = np.random.default_rng(seed).permutation(len(many))
        again = queue_of(tmp_path / f"b{seed}", *(many[i] for i in order))
        assert ran(again)[0] == {}
        same_histories(read(again), read(first))
    alone = queue_of(tmp_path / "c", *many)
    for job in alone:
        assert ran([job])[0] == {}
    same_histories(read(alone), read(first))


# --- a job fails alone -------------------------------------------------------------------------------

# Breaks one job of a sweep, in its own process: the change is executed before `main`.
BROKEN = {
    "write": (
        """
import errno
from deepvis.results import result_folder
real = result_folder.write
def write(folder, result, pictures):
    if "decay=0.8" in result.name:
        raise OSError(errno.ENOSPC, "No space left on device", str(folder))
    return real(folder, result, pictures)
result_folder.write = write
""",
        "No space left on device",
    ),
    "picture": (
        """
from deepvis.sweeps import runner
from deepvis.ascent import program
real = program.start
def start(image_spec, mean):
    if image_spec.cfg.reg.decay == 0.8:
        raise FileNotFoundError(2, "No such file or directory", "gone.png")
    return real(image_spec, mean)
program.start = start
""",
        "gone.png: No such file or directory",
    ),
}


def failed(said: Said, names: list[str], reason: str) -> None:
    """Exit code 1, and the summary lists every failed job with its reason."""
    assert said.code == 1
    for name in names:
        listed = [line for line in said.out.splitlines() if line.startswith("FAILED") and name in line]
        assert len(listed) == 1 and reason in listed[0], said.out
        assert any(name in line and reason in line for line in said.err.splitlines()), said.err


@pytest.mark.parametrize("launcher", ["packed", "basic"])
@pytest.mark.parametrize("what", BROKEN)
def test_jobs_that_raise_fail_alone_and_are_all_listed_with_their_reason(what, launcher, forker, tmp_path):
    change, reason = BROKEN[what]
    typed = ["-m", *TINY, "reg.decay=0.7,0.8,0.9", "seed=0,1", "batch_size=3"]
    said = forker.run(tmp_path, *typed, f"hydra/launcher={launcher}", change=change)
    folder = newest(tmp_path)
    failed(said, ["decay=0.8 seed=0", "decay=0.8 seed=1"], reason)
    wanted = {f"decay={d} seed={s}": "FAILED" if d == 0.8 else "FINISHED"
              for d in (0.7, 0.8, 0.9) for s in (0, 1)}  # fmt: skip
    assert states(folder) == wanted
    found = dict(statuses(tmp_path, folder.name))
    assert found == wanted
    for run in runs_of(tmp_path, folder.name):
        if run.info.status == "FAILED":
            assert reason in run.data.tags["reason"]
    for job in entry_of(folder)["jobs"]:
        assert (reason in job["reason"]) == (job["state"] == "FAILED")
    alone = tmp_path / "alone"
    for decay in (0.7, 0.9):
        assert forker.run(alone, *QUIET, f"reg.decay={decay}", "seed=1").code == 0
    singles = {}
    for place in (alone / "outputs").iterdir():
        singles |= pixels(place)
    neighbours = pixels(folder)
    assert len(neighbours) == 4 and len(singles) == 2
    same({key: neighbours[key] for key in singles}, singles)


def test_a_picture_that_vanishes_behind_the_preflight_fails_the_jobs_that_start_from_it(forker, tmp_path):
    from PIL import Image

    cwd = tmp_path / "cwd"
    cwd.mkdir()
    for number, name in enumerate(("stays.png", "goes.png")):
        Image.fromarray(np.random.default_rng(number).integers(0, 256, (16, 16, 3), dtype=np.uint8)).save(
            cwd / name
        )
    change = """
from pathlib import Path
from deepvis.sweeps import runner
real = runner.run
def run(*given):
    Path("goes.png").unlink()
    return real(*given)
runner.run = run
"""
    typed = ["start=picture", "start.path=goes.png,stays.png", "seed=0,1"]
    said = forker.run(cwd, "-m", *TINY, *typed, change=change)
    failed(said, ["goes.png seed=0", "goes.png seed=1"], "goes.png")
    ended = [(state, "goes" in name) for name, state in states(newest(cwd)).items()]
    assert sorted(ended) == [("FAILED", True)] * 2 + [("FINISHED", False)] * 2


def test_a_job_whose_images_go_non_finite_fails_alone_with_the_step(forker, tmp_path):
    typed = [*TINY, "optimizer=sgd", "steps=4"]
    said = forker.run(tmp_path, "-m", *typed, "optimizer.learning_rate=100,3e38,50", "seed=0,1")
    folder = newest(tmp_path)
    finite = ("learning_rate=100 ", "learning_rate=50 ")
    broken = [name for name in states(folder) if not name.startswith(finite)]
    assert len(broken) == 2
    failed(said, broken, "not finite: f000 at step ")
    assert [name for name, state in states(folder).items() if state == "FAILED"] == broken
    assert {name for name, status in statuses(tmp_path, folder.name) if status == "FAILED"} == set(broken)
    for run in runs_of(tmp_path, folder.name):
        if run.info.status == "FAILED":
            history = next(result_folder.read(p).history for p in result_folder.finished(folder)
                           if p.parent.name == run.data.tags["job"])  # fmt: skip
            step = int((~history["alive"][:, 0].astype(bool)).argmax())
            assert step > 0 and f"f000 at step {step}" in run.data.tags["reason"]
    alone = tmp_path / "alone"
    assert (
        forker.run(alone, "-m", *typed, "tracker=none", "optimizer.learning_rate=100,50", "seed=0,1").code
        == 0
    )
    lost = {job["key"] for job in entry_of(folder)["jobs"] if job["name"] in broken}
    ours = {key: kept for key, kept in pixels(folder).items() if key not in lost}
    same(ours, pixels(newest(alone)))


# --- ended early -------------------------------------------------------------------------------------


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM], ids=lambda s: s.name)
def test_a_signal_keeps_the_finished_and_tells_how_to_go_on(sent, forker, tmp_path):
    """Four jobs, two by two; the second two are endless, until the command that goes on is another process.

    The command is copied into a shell, so what was typed needs its quotes there as it did before.
    """
    typed = ["-m", *TINY[:2], 'layer.filters="0,3","1,2"', "size=16", "steps=2,3", "snapshot_every=1"]
    change = """
import time
from deepvis.ascent import program
real = program.snapshots
def ascend(made, images, *given):
    for look in real(made, images, *given):
        yield look
        if images[0].cfg.steps == 3:
            time.sleep(60)
program.snapshots = ascend
"""
    process = forker.start(tmp_path, *typed, "batch_size=4", change=change)
    process.until(lambda: list(tmp_path.glob("outputs/*/3_*/live.png")))
    os.kill(process.pid, sent)
    said = process.wait()
    assert said.code == {signal.SIGINT: 130, signal.SIGTERM: 143}[sent]
    folder = newest(tmp_path)
    before = statuses(tmp_path, folder.name)
    assert sorted(status for _, status in before) == ["FINISHED", "FINISHED"]
    kept = {run.info.run_id: run.info.end_time for run in runs_of(tmp_path, folder.name)}
    assert sorted(states(folder).values()) == ["FINISHED", "FINISHED", "KILLED", "KILLED"]
    again = forker.run(tmp_path, *advised(said))
    assert (again.code, again.err) == (0, "")
    assert newest(tmp_path).name == folder.name and len(list((tmp_path / "outputs").iterdir())) == 1
    assert set(states(folder).values()) == {"FINISHED"}
    ended = [status for _, status in statuses(tmp_path, folder.name)]
    assert sorted(ended) == ["FINISHED"] * 4
    now = {run.info.run_id: run.info.end_time for run in runs_of(tmp_path, folder.name)}
    assert now | kept == now


@pytest.mark.parametrize(
    "typed",
    [
        ["reg.decay=range(1,0,-0.5)"],
        ['layer.filters="0,1","2,3"'],
        ["layer.filters=[0,1],[2,3]"],
        ["reg.decay=0.8,0.9", "hydra/launcher=basic"],
        ["reg.decay=0.8"],
        ["reg.decay=0.8,0.9", "hydra.sweep.dir=outputs/my sweep"],
        ["reg.decay=0.8,0.9", "hydra.sweep.dir=outputs/${now:%S%f}-mine"],
    ],
    ids=" ".join,
)
def test_the_command_that_is_printed_goes_on_with_the_sweep_however_it_was_typed(typed, forker, tmp_path):
    """A sweep whose every job fails at first; the printed command is then copied into a shell."""
    change = """
from deepvis.ascent import program
def start(image_spec, mean):
    raise RuntimeError("not yet")
program.start = start
"""
    said = forker.run(tmp_path, "-m", *TINY, *typed, change=change)
    assert said.code == 1
    folder = newest(tmp_path)
    was = entry_of(folder)
    words = advised(said)
    assert [t for t in typed if t.startswith("hydra")] == [
        o for o in was["overrides"] if o.startswith("hydra")
    ]
    of_hydra = [t if "${" not in t else f"hydra.sweep.dir=outputs/{folder.name}" for t in typed]
    assert [word for word in words if word.startswith("hydra")] == [
        t for t in of_hydra if t.startswith("hydra")
    ]
    again = forker.run(tmp_path, *words)
    assert (again.code, again.err) == (0, "")
    assert len(list((tmp_path / "outputs").iterdir())) == 1
    now = entry_of(folder)
    assert (now["id"], [job["key"] for job in now["jobs"]]) == (
        was["id"],
        [job["key"] for job in was["jobs"]],
    )
    assert {job["state"] for job in now["jobs"]} == {"FINISHED"}


# --- what a sweep is ---------------------------------------------------------------------------------


def test_sweep_json_says_what_the_sweep_is_and_so_does_its_run(forker, tmp_path):
    """In a checkout: its commit, and that something in it was changed."""
    for command in (
        ["init", "-q"],
        ["-c", "user.name=a", "-c", "user.email=a@b", "commit", "-q", "--allow-empty", "-m", "first"],
    ):
        subprocess.run(["git", *command], cwd=tmp_path, check=True, timeout=60)
    head = subprocess.run(
        ["git", "rev-parse", "HEAD"], cwd=tmp_path, capture_output=True, text=True, check=True, timeout=60
    ).stdout.strip()
    typed = [*TINY, "reg.decay=0.8,0.9", "hydra/launcher=basic"]
    began = time.strftime("%Y-%m-%dT%H:%M:%S%z")
    assert forker.run(tmp_path, "-m", *typed).code == 0
    folder = newest(tmp_path)
    entry = entry_of(folder)
    assert entry["id"] == folder.name
    assert entry["overrides"] == typed
    assert entry["git"] == {"commit": head, "dirty": False}
    versions = {"deepvis", "python", "tensorflow", "keras", "numpy", "hydra-core", "mlflow"}
    assert versions <= entry["versions"].keys() and all(entry["versions"].values())
    assert entry["versions"]["python"] == ".".join(map(str, sys.version_info[:3]))
    assert entry["machine"]["host"] == os.uname().nodename and entry["machine"]["cores"] == os.cpu_count()
    assert began[:19] <= entry["start"][:19] and entry["start"] <= entry["end"]
    assert entry["end"][:19] <= time.strftime("%Y-%m-%dT%H:%M:%S")
    found = {
        result_folder.read(p).key: (result_folder.read(p).name, p.parent.name)
        for p in result_folder.finished(folder)
    }
    assert {job["key"]: (job["name"], job["folder"]) for job in entry["jobs"]} == found
    assert [job["state"] for job in entry["jobs"]] == ["FINISHED"] * 2
    (own,) = runs_of(tmp_path, folder.name, "sweep")
    logged = Path(store_of(tmp_path).client.download_artifacts(own.info.run_id, manifest.FILE))
    assert json.loads(logged.read_text()) | {"closed": True} == entry  # which is written when all is logged


def test_a_tracked_file_that_was_changed_makes_the_sweep_dirty(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").write_text("a")
    for command in (
        ["init", "-q"],
        ["add", "file"],
        ["-c", "user.name=a", "-c", "user.email=a@b", "commit", "-q", "-m", "first"],
    ):
        subprocess.run(["git", *command], check=True, timeout=60)
    assert manifest.identity("s", [], [], {})["git"]["dirty"] is False
    (tmp_path / "file").write_text("b")
    assert manifest.identity("s", [], [], {})["git"]["dirty"] is True


def test_outside_a_checkout_a_sweep_has_no_commit(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert manifest.identity("s", [], [], {})["git"] is None


def test_a_ledger_that_cannot_be_written_leaves_the_old_one_whole_and_nothing_beside(tmp_path, monkeypatch):
    manifest.write(tmp_path, {"id": "old"})

    def replace(self, target):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", replace)
    with pytest.raises(OSError, match="No space"):
        manifest.write(tmp_path, {"id": "new", "much": "x" * 10000})
    assert [p.name for p in tmp_path.iterdir()] == [manifest.FILE]
    assert entry_of(tmp_path) == {"id": "old"}


def test_whoever_reads_a_ledger_while_it_is_written_reads_a_whole_one(tmp_path):
    """A reader in a process of its own against 30 writes, each of which is synced to the disk."""
    manifest.write(tmp_path, {"n": 0, "much": "x" * 200000})
    code = """
import json, sys, pathlib
file, seen = pathlib.Path(sys.argv[1]), set()
print("ready", flush=True)
while 29 not in seen:
    entry = json.loads(file.read_text())
    assert len(entry["much"]) == 200000
    seen.add(entry["n"])
"""
    command = [sys.executable, "-c", code, str(tmp_path / manifest.FILE)]
    with group(command, stdout=subprocess.PIPE, text=True) as reader:
        assert line_of(reader) == "ready\n"
        for n in range(30):
            manifest.write(tmp_path, {"n": n, "much": "x" * 200000})
        assert reader.wait(60) == 0
