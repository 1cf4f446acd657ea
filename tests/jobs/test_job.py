"""A job's folder: what stands in it after a kill is what was recorded, each item once."""

import json
import math
import os
import pkgutil
import threading
from operator import attrgetter

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from equilibria.errors import EquilibriaError
from equilibria.jobs import Job, work
from equilibria.jobs.shard import whole_lines

IDENTITY = {"seed": 0, "budget": {"depth": 16, "breadth": [1, 4]}}


def squares(items):
    for item in items:
        yield item, {"square": item * item}


def begin(folder, items=10, shard=4, identity=IDENTITY):
    return Job(folder / "job", items, shard, identity)


def finished(folder, **options):
    job = begin(folder, **options)
    work(job, squares)
    return job


def line(item, record):
    return json.dumps({"item": item, "record": record}).encode() + b"\n"


class Killed(BaseException):
    """What stands for a kill: nothing catches it."""


def kill_at(monkeypatch, name, calls=1):
    """Die at the next call of `name`, or so many calls later, and live again after that."""
    lived = attrgetter(name.rpartition(".")[2])(pkgutil.resolve_name(name.rpartition(".")[0]))
    left = [calls]

    def die(*given, **named):
        left[0] -= 1
        if left[0]:
            return lived(*given, **named)
        monkeypatch.undo()
        raise Killed

    monkeypatch.setattr(name, die)


def test_work_records_every_item_and_a_second_call_finds_nothing_to_do(tmp_path):
    job = finished(tmp_path)
    assert job.done and job.recorded == 10 and not job.finished
    assert [record["square"] for record in job.records()] == [item * item for item in range(10)]

    def never(items):
        raise AssertionError(items)

    work(begin(tmp_path), never)


def test_a_job_of_nothing_is_done(tmp_path):
    job = finished(tmp_path, items=0)
    assert job.done and list(job.records()) == []


@pytest.mark.parametrize(("items", "shard"), [(-1, 4), (3, 0)])
def test_items_and_shards_are_counted_sensibly(tmp_path, items, shard):
    with pytest.raises(EquilibriaError, match="shards of at least one"):
        begin(tmp_path, items=items, shard=shard)


def test_numbers_that_json_lacks_are_kept(tmp_path):
    job = begin(tmp_path, items=1)
    work(job, lambda items: iter([(0, {"nan": math.nan, "inf": math.inf, "text": "grün\n"})]))
    (record,) = job.records()
    assert math.isnan(record["nan"]) and record["inf"] == math.inf and record["text"] == "grün\n"


def test_a_shard_has_one_holder_and_goes_to_the_next(tmp_path):
    one, two = begin(tmp_path), begin(tmp_path)
    with one.claim(0) as shard:
        assert shard.pending == [0, 1, 2, 3]
        shard.record(1, {"square": 1})
        assert two.claim(0) is None
        assert two.recorded == 1
    with two.claim(0) as shard:
        assert shard.pending == [0, 2, 3]
        for item in shard.pending.copy():
            shard.record(item, {"square": item * item})
    assert one.claim(0) is None and two.claim(0) is None


def test_what_does_not_fit_a_shard_is_refused(tmp_path):
    with begin(tmp_path).claim(1) as shard:
        with pytest.raises(ValueError, match="item 1 is not pending in shard 1"):
            shard.record(1, {})
        with pytest.raises(TypeError):
            shard.record(4, {"what": object()})
        assert shard.pending == [4, 5, 6, 7]


def test_solve_must_give_every_item(tmp_path):
    with pytest.raises(RuntimeError, match="no record came for 2 items, the first 2"):
        work(begin(tmp_path), lambda items: squares(items[:2]))
    assert begin(tmp_path).recorded == 2


def test_what_solve_holds_is_let_go_before_the_shard(tmp_path):
    job, free = begin(tmp_path), []

    def solve(items):
        try:
            yield items[0], {}
            yield 9, {}  # of another shard
        finally:
            free.append(begin(tmp_path).claim(0))

    with pytest.raises(ValueError, match="item 9 is not pending in shard 0"):
        work(job, solve)
    assert free == [None], "another could take the shard while it was still worked on"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"seed": 1}, "seed is 0 there and 1 here"),
        ({"budget": {"depth": 8, "breadth": [1]}}, "budget.depth is 16 there and 8 here"),
        ({"more": 1}, "more is 'absent' there and 1 here"),
        ({"seed": 1, "budget": 0}, "seed is 0"),
    ],
)
def test_another_job_is_refused_by_the_first_field_that_differs(tmp_path, change, said):
    begin(tmp_path)
    with pytest.raises(EquilibriaError, match=said) as told:
        begin(tmp_path, identity=IDENTITY | change)
    assert "choose another --out, or remove the folder" in str(told.value)


def test_other_items_are_another_job_and_other_shards_are_not(tmp_path):
    begin(tmp_path, items=10)
    with pytest.raises(EquilibriaError, match="items is 10 there and 11 here"):
        begin(tmp_path, items=11)
    assert begin(tmp_path, shard=7).shard == 4
    assert begin(tmp_path, identity=IDENTITY | {"budget": {"depth": 16, "breadth": (1, 4)}}).shard == 4


def test_a_damaged_folder_is_said(tmp_path):
    begin(tmp_path)
    (tmp_path / "job" / "job.json").write_text("{")
    with pytest.raises(EquilibriaError, match=r"job\.json is damaged: remove the folder"):
        begin(tmp_path)
    finished(tmp_path / "other")
    (tmp_path / "other" / "job" / "job.json").unlink()
    with pytest.raises(EquilibriaError, match=r"holds records but no job\.json"):
        begin(tmp_path / "other")
    (tmp_path / "file").write_text("")
    with pytest.raises(EquilibriaError, match="cannot be written"):
        Job(tmp_path / "file", 1, 1, {})


def test_a_damaged_part_is_said(tmp_path):
    job = finished(tmp_path)
    part = tmp_path / "job" / "shard-00001.jsonl"
    part.write_bytes(part.read_bytes()[:-3])
    with pytest.raises(EquilibriaError, match=r"shard-00001\.jsonl is missing or damaged.*00001\.lock"):
        list(job.records())
    part.unlink()
    part.with_suffix(".lock").unlink()  # as the message says
    again = finished(tmp_path)
    assert len(list(again.records())) == 10


def test_a_full_disk_is_said_and_loses_nothing(tmp_path, monkeypatch):
    job = begin(tmp_path)
    with job.claim(0) as shard:
        shard.record(0, {"square": 0})
        write = os.write
        monkeypatch.setattr(os, "write", lambda file, text: write(file, text[:-5]))
        with pytest.raises(EquilibriaError, match=r"cannot be written \(no space left\).*make room"):
            shard.record(1, {"square": 1})
    monkeypatch.undo()
    with job.claim(0) as shard:
        assert shard.pending == [1, 2, 3]
    assert len(list(finished(tmp_path).records())) == 10


def test_a_folder_that_is_removed_under_a_worker_is_said(tmp_path):
    with begin(tmp_path, items=1).claim(0) as shard:
        for path in (tmp_path / "job").iterdir():
            path.unlink()
        with pytest.raises(EquilibriaError, match="was removed while it was worked on"):
            shard.record(0, {})


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 12) | st.floats() | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
    max_leaves=4,
)
foreign = (
    st.binary(max_size=12).filter(lambda text: b"\n" not in text)
    | json_values.map(lambda value: json.dumps(value).encode())
    | json_values.map(lambda value: json.dumps({"item": value}).encode())
    | st.integers(8, 99).map(lambda item: line(item, {})[:-1])
    | st.sampled_from([b'{"item": true, "record": {}}', b'{"item": 5.0, "record": {}}', b"[" * 50])
)
own = st.integers(4, 7).flatmap(
    lambda item: st.integers(0, 9).map(lambda value: (item, line(item, {"value": value})))
)


@settings(max_examples=60)
@example(entries=[(5, line(5, {"value": 1})), (5, line(5, {"value": 2}))], cut=0)
@given(entries=st.lists(own | foreign, max_size=12), cut=st.integers(0, 20))
def test_a_journal_is_read_up_to_what_a_kill_tore_whatever_else_is_in_it(tmp_path_factory, entries, cut):
    tmp_path = tmp_path_factory.mktemp("torn")
    job = begin(tmp_path)
    content = b"".join(e[1] if isinstance(e, tuple) else e + b"\n" for e in entries)
    content = content[: len(content) - cut] if cut else content
    (tmp_path / "job" / "shard-00001.journal").write_bytes(content)
    expected, place = {}, 0
    for entry in entries:
        place += len(entry[1] if isinstance(entry, tuple) else entry) + (not isinstance(entry, tuple))
        if isinstance(entry, tuple) and place <= len(content):
            expected.setdefault(entry[0], json.loads(entry[1])["record"])

    shard = job.claim(1)
    pending = [] if shard is None else shard.pending.copy()
    assert pending == [item for item in range(4, 8) if item not in expected]
    if shard is not None:
        kept = whole_lines((tmp_path / "job" / "shard-00001.journal").read_bytes(), range(4, 8))
        assert set(kept) == set(expected)
        for item in pending:
            shard.record(item, {"value": "new"})
        shard.close()
    work(job, squares)
    for item, record in list(enumerate(job.records()))[4:8]:
        assert record == expected.get(item, {"value": "new"})


@pytest.mark.parametrize(
    ("moment", "calls"),
    [
        ("equilibria.jobs.shard.write_atomically", 1),  # all is in the journal, nothing in the part
        ("pathlib.Path.replace", 1),  # the part is written, and not in its place
        ("equilibria.jobs.locks.Lock.mark", 1),  # it is, and nobody told
        ("pathlib.Path.unlink", 2),  # they are told, and the journal is still there
    ],
)
def test_a_kill_between_journal_and_part_loses_nothing(tmp_path, monkeypatch, moment, calls):
    job, computed = begin(tmp_path, items=4), []

    def solve(items):
        for item, record in squares(items):
            computed.append(item)
            yield item, record
            if item == 2:
                kill_at(monkeypatch, moment, calls)

    with pytest.raises(Killed):
        work(job, solve)
    work(begin(tmp_path, items=4), solve)
    assert computed == [0, 1, 2, 3]
    again = begin(tmp_path, items=4)
    assert again.done and [r["square"] for r in again.records()] == [0, 1, 4, 9]


def test_a_kill_while_a_torn_journal_is_mended_loses_nothing(tmp_path, monkeypatch):
    with begin(tmp_path).claim(0) as shard:
        shard.record(0, {"square": 0})
    journal = tmp_path / "job" / "shard-00000.journal"
    with journal.open("ab") as file:
        file.write(b'{"item": 1, "rec')
    kill_at(monkeypatch, "pathlib.Path.replace")
    with pytest.raises(Killed):
        begin(tmp_path).claim(0)
    with begin(tmp_path).claim(0) as shard:
        assert shard.pending == [1, 2, 3]
    assert journal.read_bytes() == line(0, {"square": 0})


def test_output_is_written_once_and_a_kill_in_it_leaves_it_to_the_next(tmp_path):
    one, two = finished(tmp_path), begin(tmp_path)
    written = []

    def die(records):
        raise Killed

    with pytest.raises(Killed):
        one.finish(die)
    assert not two.finished
    assert two.finish(lambda records: written.append(len(list(records))))
    assert not one.finish(lambda records: written.append("again"))
    assert written == [10] and one.finished and begin(tmp_path).finished


def test_nothing_is_written_or_removed_before_all_is_there(tmp_path):
    job = begin(tmp_path)
    with job.claim(0) as shard:
        shard.record(0, {})
    with pytest.raises(EquilibriaError, match="does not hold all 10 records: only 1 are there"):
        job.finish(lambda records: list(records))
    with pytest.raises(EquilibriaError, match="its records would be lost"):
        job.remove()


def test_removed_with_a_trace_late_comers_find_nothing_to_do(tmp_path):
    job, waiting = finished(tmp_path), begin(tmp_path)
    job.finish(lambda records: None)
    job.remove(trace=True)
    assert {path.name for path in (tmp_path / "job").iterdir()} == {"job.json", "job.lock"}
    late = begin(tmp_path)
    for other in (waiting, late):
        assert other.finished and other.done and other.recorded == 10 and other.claim(1) is None
        work(other, squares)
        assert not other.finish(lambda records: None)
        with pytest.raises(EquilibriaError, match="its records were removed"):
            list(other.records())
    assert {path.name for path in (tmp_path / "job").iterdir()} == {"job.json", "job.lock"}


def test_removed_without_a_trace_the_folder_goes_and_those_who_wait_see_it(tmp_path):
    job, waiting = finished(tmp_path), begin(tmp_path)
    job.finish(lambda records: None)
    job.remove()
    assert not (tmp_path / "job").exists()
    assert waiting.finished and waiting.done and waiting.claim(0) is None
    assert not waiting.finish(lambda records: None)
    waiting.remove()
    assert not (tmp_path / "job").exists()


def test_a_folder_is_not_kept_by_the_lock_of_one_who_waited(tmp_path):
    job, waiting = finished(tmp_path), begin(tmp_path)
    job.finish(lambda records: None)
    job.remove()
    (tmp_path / "job").mkdir()  # as if it had not gone yet when the other took the lock
    assert not waiting.finish(lambda records: None)
    assert not (tmp_path / "job").exists()


def test_who_outlives_a_job_leaves_the_next_one_in_its_place_alone(tmp_path):
    old, outlives = finished(tmp_path), begin(tmp_path)
    old.finish(lambda records: None)
    old.remove()
    new = begin(tmp_path)
    with new.claim(0) as shard:
        for item in range(4):
            shard.record(item, {"square": "new"})
    assert outlives.finished and outlives.claim(0) is None and outlives.claim(1) is None
    assert not outlives.finish(lambda records: None)
    outlives.remove()
    fresh = begin(tmp_path)
    assert fresh.claim(0) is None, "what is whole was made anew"
    work(fresh, squares)
    assert [r["square"] for r in fresh.records()][:5] == ["new"] * 4 + [16]


def test_foreign_files_stay(tmp_path):
    job = finished(tmp_path)
    mine = {"notes.txt", "my-shard-list.txt", "shard-1.jsonl", "shard-00001.jsonl.bak"}
    killed = {".job.json.partial", ".shard-00001.journal.partial"}  # what a killed write leaves is the job's
    for name in mine | killed:
        (tmp_path / "job" / name).write_text("")
    job.finish(lambda records: None)
    job.remove()
    assert {path.name for path in (tmp_path / "job").iterdir()} == mine


def test_whoever_waits_takes_up_what_is_left_and_tells_how_far_all_are(tmp_path):
    job, told = begin(tmp_path, items=4), []
    shard = job.claim(0)
    shard.record(0, {"square": 0})
    waiting = threading.Thread(
        target=lambda: work(
            begin(tmp_path, items=4), squares, progress=lambda *counts: told.append(counts), patience=0.01
        )
    )
    waiting.start()
    while not told:
        pass
    shard.close()
    waiting.join(20)
    assert not waiting.is_alive()
    assert told[0] == (1, 4) and told[-1] == (4, 4)
    assert job.done
