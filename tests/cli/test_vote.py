"""Votes: what the server answers and refuses, what is stored, and what the report makes of it."""

import json
import random
import signal
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from collections import Counter
from contextlib import contextmanager

import numpy as np
import pytest
from helpers import synthetic

from deepvis.cli import ballot, vote
from deepvis.core.errors import ConfigError
from deepvis.report import comparison, page
from deepvis.report import votes as report_votes
from deepvis.results import votes


@pytest.fixture
def folder(tmp_path):
    return synthetic.grid(tmp_path / "outputs" / "20260102-030405-abcd", n=12)


@contextmanager
def serving(folder):
    ballots = ballot.Ballots(folder, comparison.of_sweeps([folder], {}))
    with vote.server(ballots) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


def ask(address: str, path: str, body=None, **headers) -> tuple[int, bytes]:
    content = None if body is None else json.dumps(body).encode()
    headers = {name.replace("_", "-"): value for name, value in headers.items()}
    if body is not None:
        headers = {"Content-Type": "application/json"} | headers
    try:
        with urllib.request.urlopen(urllib.request.Request(address + path, content, headers)) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as err:
        return err.code, b""


def test_only_the_page_itself_is_answered(folder):
    with serving(folder) as server:
        at = server.address
        assert ask(at, "")[0] == ask(at.replace("127.0.0.1", "localhost"), "")[0] == 200
        assert ask(at, "next", {})[0] == ask(at, "next", {}, Origin=at[: at.index("/", 7)])[0] == 200
        assert server.server_address[0] == "127.0.0.1"
        other = at.replace(server.token, "x" * len(server.token))
        assert ask(other, "next", {})[0] == ask(other, "")[0] == ask(at[:-1], "")[0] == 404
        assert ask(at, "next", {}, Host="evil.example")[0] == ask(at, "", Host="evil.example")[0] == 403
        assert ask(at, "next", {}, Origin="http://evil.example")[0] == 403
        assert ask(at, "next", {}, Content_Type="text/plain")[0] == 400  # what a form can send
        assert ask(at, "../vote.html")[0] == ask(at, "a/left")[0] == ask(at, "nothing", {})[0] == 404
        assert ask(at, "vote", {"ballot": "a", "choice": "left"})[0] == 409
        assert ask(at, "vote", [])[0] == ask(at, "vote", {"ballot": 1})[0] == 400
    assert votes.read(folder) == []


def test_a_vote_is_stored_with_what_was_shown_and_undone_when_it_is_taken_back(folder):
    with serving(folder) as server:
        at = server.address
        first = json.loads(ask(at, "next", {})[1])
        shown = {side: ask(at, f"{first['ballot']}/{side}")[1] for side in ("left", "right")}
        second = json.loads(ask(at, "vote", {"ballot": first["ballot"], "choice": "right"})[1])
        (stored,) = votes.read(folder)
        assert (stored.choice, second["here"], second["all"]) == ("right", 1, 1)
        assert stored.left != stored.right and first["filter"] == f"f{stored.filter:03d}"
        for side, job in (("left", stored.left), ("right", stored.right)):
            assert shown[side] == (folder / job / "result/filters" / f"{first['filter']}.png").read_bytes()
        assert stored.left.rpartition("_")[2] == stored.right.rpartition("_")[2]  # of one seed
        assert ask(at, "vote", {"ballot": first["ballot"], "choice": "left"})[0] == 409  # once only
        again = json.loads(ask(at, "undo", {})[1])
        assert again == first and votes.read(folder) == []
        assert json.loads(ask(at, "undo", {})[1])["here"] == 0  # nothing more to take back


def test_ballots_are_balanced_blind_and_in_random_order(folder):
    ballots = ballot.Ballots(folder, comparison.of_sweeps([folder], {}))
    lefts = 0
    for _ in range(60):
        name, pair = ballots.draw()
        lefts += pair.left.setting < pair.right.setting
        assert ballots.vote(name, "tie")
    cast = votes.read(folder)
    setting = {job.folder.parent.name: job.setting for job in ballots.compared.jobs}
    pairs = Counter(frozenset((setting[v.left], setting[v.right])) for v in cast)
    assert len(pairs) == 15 and max(Counter(v.filter for v in cast).values()) <= 8
    assert 15 <= lefts <= 45
    with pytest.raises(ConfigError, match="no two settings"):
        ballot.Ballots(folder, synthetic.compared(synthetic.result("0_a", [1.0, 2.0])))


def test_a_broken_file_of_votes_is_refused_and_one_of_other_jobs_is_said(folder):
    compared = comparison.of_sweeps([folder], {})
    assert report_votes.judged(compared, [folder]) is None
    name, _ = (ballots := ballot.Ballots(folder, compared)).draw()
    ballots.vote(name, "left")
    text = (folder / votes.FILE).read_text()
    (folder / votes.FILE).write_text(text.replace('_key": "', '_key": "x'))
    found = report_votes.judged(compared, [folder])
    assert found is not None and (found.count, found.stale) == (0, 1)
    up = text.replace('"choice": "left"', '"choice": "up"')
    for broken, says in ((text[:-9], "torn"), ("{}", "torn"), (up, "'up', expected")):
        (folder / votes.FILE).write_text(broken)
        with pytest.raises(ConfigError, match=says):
            votes.read(folder)


def test_voters_of_a_known_order_are_recovered_by_the_report(folder):
    """They look at the pictures' scores alone, with some chance: the ranking is that of the scores."""
    compared = comparison.of_sweeps([folder], {})
    ballots = ballot.Ballots(folder, compared, chance=random.Random(0))
    rng = np.random.default_rng(0)
    strength = np.log(compared.medians("score"))
    for _ in range(150):
        name, pair = ballots.draw()
        chance = 1 / (1 + np.exp(2 * (strength[pair.right.setting] - strength[pair.left.setting])))
        ballots.vote(name, "tie" if rng.random() < 0.1 else "left" if rng.random() < chance else "right")
    found = report_votes.judged(compared, [folder])
    assert found is not None and (found.count, found.filters, found.stale) == (150, 12, 0)
    ranks = [next(r for r in found.ranking if r.setting == compared.name(i)) for i in range(len(strength))]
    assert np.corrcoef([r.chance for r in ranks], strength)[0, 1] > 0.9
    truth = 1 / (1 + np.exp(-2 * (strength - strength.mean()) * 0.9))  # ties draw them together a little
    assert sum(r.low <= t <= r.high for r, t in zip(ranks, truth, strict=True)) >= 5
    measures = dict(found.agreement)
    assert measures["score"].low > 0.5 and measures["score"].n < 150
    assert measures["high_frequency"].low < 0.5 < measures["high_frequency"].high
    assert found.ranking[0].chance == max(r.chance for r in ranks)
    text = page.make([folder], folder)[1].read_text()
    assert "150 votes (" in text and "on 12 filters:" in text
    for row in found.ranking:
        numbers = f"{row.wins:.3g} | {100 * row.chance:.3g} % | {100 * row.low:.3g} % to"
        assert f"| {row.setting} | {row.votes} | {numbers}" in text
    assert f"| score | {measures['score'].n} | {100 * measures['score'].estimate:.3g} % |" in text


@pytest.mark.slow
@pytest.mark.parametrize("end", [signal.SIGINT, signal.SIGKILL])
def test_the_command_prints_its_address_and_leaves_whole_votes_however_it_ends(folder, end):
    command = [sys.executable, "-m", "deepvis.run", "vote", "latest"]
    process = subprocess.Popen(command, cwd=folder.parents[1], stdout=subprocess.PIPE, text=True)
    try:
        address = process.stdout.readline().split()[-1]
        ballot_ = json.loads(ask(address, "next", {})[1])["ballot"]
        assert ask(address, "vote", {"ballot": ballot_, "choice": "tie"})[0] == 200
        process.send_signal(end)
        assert process.wait(20) == (0 if end == signal.SIGINT else -end)
    finally:
        process.kill()
        process.stdout.close()
    assert [each.choice for each in votes.read(folder)] == ["tie"]
    assert not list(folder.glob("*.deepvis-partial"))
