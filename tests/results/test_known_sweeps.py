"""Laws of manifests and of known sweeps: a broken one hides none, and ``latest`` is by the start in UTC."""

import json
import shlex

import pytest

from deepvis.core.errors import ConfigError
from deepvis.results import known_sweeps, manifest, resumption

ODD = ["start.path=cat #1.png", "start.path=@a.png", "start.path==1", "x=yes", "x=2026-01-01", "x=é ü\u2028",
       "x='a b'", 'x="$HOME"', "x=${now:%H}", "x=1e3", "x=null", "x=[a, b]", "x=\\", "x=a\tb"]  # fmt: skip


def sweep(outputs, name, start="2026-01-01T00:00:00.000+00:00", typed=(), **more):
    folder = outputs / name
    jobs = [{"name": "a", "key": "k", "folder": "0_a"}]
    manifest.write(folder, manifest.identity(name, list(typed), jobs, {}) | {"start": start} | more)
    return folder


def test_latest_is_by_the_start_in_utc_whatever_the_zone_the_name_and_the_file_say(tmp_path):
    sweep(tmp_path, "z", "2026-01-01T12:00:00+0200")
    sweep(tmp_path, "y", "2026-01-01T11:00:00.500+00:00")
    sweep(tmp_path, "a", "2026-01-01T07:00:00-05:00")  # 12:00 UTC: the last
    sweep(tmp_path, "b", "2026-01-01T12:30:00+09:00")
    assert known_sweeps.find("latest", list(tmp_path.glob("*"))).id == "a"
    order = [each.id for each in known_sweeps.known(tmp_path.glob("*"))]
    assert order == ["b", "z", "y", "a"]


def test_the_start_is_written_in_utc(tmp_path, monkeypatch):
    import time

    for zone in ("Pacific/Auckland", "America/Anchorage"):
        monkeypatch.setenv("TZ", zone)
        time.tzset()
        now = manifest.when(manifest.identity("s", [], [], {})["start"])
        assert now.utcoffset().total_seconds() == 0 and abs(now.timestamp() - time.time()) < 60
    monkeypatch.undo()
    time.tzset()


BROKEN = {
    "empty": "", "half": '{"id": "x", "jo', "zeros": "\0" * 300, "list": "[]", "no jobs": '{"id": "x"}',
    "a path": json.dumps({"id": "x", "overrides": [], "versions": {"deepvis": "1"}, "weights": {},
                          "start": "2026-01-01T00:00:00+00:00",
                          "jobs": [{"name": "a", "key": "k", "folder": "../outside"}]}),
    "no date": json.dumps({"id": "x", "overrides": [], "versions": {"deepvis": "1"}, "weights": {},
                           "start": "yesterday", "jobs": []}),
}  # fmt: skip


@pytest.mark.parametrize("kind", BROKEN)
def test_a_broken_manifest_is_named_and_hides_no_other(tmp_path, kind, caplog):
    sweep(tmp_path, "whole")
    sweep(tmp_path, "broken")
    (tmp_path / "broken" / manifest.FILE).write_text(BROKEN[kind])
    assert known_sweeps.find("latest", list(tmp_path.glob("*"))).id == "whole"
    assert str(tmp_path / "broken" / manifest.FILE) in caplog.text
    found = known_sweeps.find("broken", list(tmp_path.glob("*")))
    assert found.entry is None and found.folder == tmp_path / "broken"
    assert known_sweeps.locate("whole", tmp_path, "report") == tmp_path / "whole"
    with pytest.raises(ConfigError) as refused:
        manifest.read(tmp_path / "broken")
    assert "\n" not in str(refused.value) and str(tmp_path / "broken" / manifest.FILE) in str(refused.value)


@pytest.mark.parametrize("word", ["../whole", "/", "whole/", "", "whole\n", "*", "nothing"])
def test_what_names_no_sweep_is_refused(tmp_path, word):
    sweep(tmp_path, "whole")
    with pytest.raises(ConfigError, match="no such sweep"):
        known_sweeps.find(word, list(tmp_path.glob("*")))


def test_of_a_copy_the_folder_with_the_sweeps_name_counts(tmp_path):
    import shutil

    shutil.copytree(sweep(tmp_path, "s"), tmp_path / "copy of s")
    shutil.copytree(tmp_path / "s", tmp_path / "a")
    for word in ("latest", "s"):
        assert known_sweeps.find(word, sorted(tmp_path.glob("*"))).folder == tmp_path / "s"


# --- what was typed comes back as it was ---------------------------------------------------------------


@pytest.mark.parametrize("typed", ODD)
def test_what_was_typed_comes_back_to_the_letter(tmp_path, typed):
    folder = sweep(tmp_path, "s", typed=[typed])
    entry = manifest.read(folder)
    assert entry["overrides"] == [typed]
    assert resumption.overrides(entry, folder, ["resume=s"]) == [typed, "resume=s"]
    assert shlex.split(manifest.typed(entry)) == [typed]


def test_all_that_was_typed_is_typed_again_and_what_is_free_may_differ(tmp_path):
    folder = sweep(tmp_path, "s", typed=["experiment=x", "seed=0,1", "batch_size=4", "tracker.uri=http://h"])
    entry = manifest.read(folder)

    def again(*typed):
        return resumption.overrides(entry, folder, [*typed, "resume=s"])

    same = ["experiment=x", "seed=0,1", "batch_size=4", "tracker.uri=http://h", "resume=s"]
    assert again() == again("seed=0,1") == same
    free = ["batch_size=8", "hydra/launcher=joblib"]
    other = again(*free)
    assert other == ["experiment=x", "seed=0,1", "tracker.uri=http://h", *free, "resume=s"]
    # Another sweep is not filled up with this one's options, but for where it is logged; `check` refuses it.
    assert again("seed=0") == ["tracker.uri=http://h", "seed=0", "resume=s"]
    assert again("seed=0", "tracker.uri=x") == ["seed=0", "tracker.uri=x", "resume=s"]


def test_a_folder_named_by_the_time_is_the_one_that_it_was(tmp_path):
    folder = sweep(tmp_path, "s", typed=["hydra.sweep.dir=outputs/${now:%H}", "seed=1"])
    found = resumption.overrides(manifest.read(folder), folder, ["resume=s"])
    assert found == [f"hydra.sweep.dir={folder}", "seed=1", "resume=s"]


@pytest.mark.parametrize("password", ["se:cr3t", "s@cr3t"])
def test_a_password_is_written_nowhere_and_asked_for(password, tmp_path):
    typed = f"tracker.uri=postgresql://me:{password}@host/db"
    folder = sweep(tmp_path, "s", typed=[typed], tracker={"uri": typed.partition("=")[2]})
    assert "cr3t" not in (folder / manifest.FILE).read_text()
    entry = manifest.read(folder)
    with pytest.raises(ConfigError, match="password"):
        resumption.overrides(entry, folder, ["resume=s"])
    assert resumption.overrides(entry, folder, [typed, "resume=s"]) == [typed, "resume=s"]
    new = dict(entry, tracker={"uri": typed.partition("=")[2]})
    resumption.check(entry, new)


# --- the same sweep --------------------------------------------------------------------------------------


def test_what_differs_is_named_in_one_line_and_force_computes_it_again(tmp_path):
    old = manifest.read(sweep(tmp_path, "s", files={"start.path=a.png": "1"}, tracker={"uri": "x"}))
    changed = {
        "start.path=a.png": {"files": {"start.path=a.png": "2"}},
        "weights": {"weights": {"vgg16": "2"}},
        "this is 9": {"versions": old["versions"] | {"deepvis": "9"}},
    }
    for word, change in changed.items():
        with pytest.raises(ConfigError, match="resume_force=true") as refused:
            resumption.check(old, old | change)
        assert word in str(refused.value) and "\n" not in str(refused.value)
        resumption.check(old, old | change, force=True)
    with pytest.raises(ConfigError, match="jobs are others"):
        resumption.check(old, old | {"jobs": []}, force=True)
    with pytest.raises(ConfigError, match=r"set tracker.uri=x"):
        resumption.check(old, old | {"tracker": {"uri": "y"}})
    with pytest.raises(ConfigError, match=r"leave out tracker"):
        resumption.check(old, old | {"tracker": {"uri": "y"}}, ["tracker.uri=y"])
    resumption.check(old, old)
