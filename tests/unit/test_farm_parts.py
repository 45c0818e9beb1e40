"""Which videos of a farm are cut into parts, what tasks they become, and what is made again when a file is gone."""

from dataclasses import replace

import pytest

pytest.importorskip("aiohttp")

from sonic_guard.devices.budget import budget_for
from sonic_guard.errors import FarmError
from sonic_guard.job import LATENT_FPS, Job
from sonic_guard.long_video.part_plan import plan_parts
from sonic_guard.park.content import file_digest, keep, objects_folder
from sonic_guard.park.cutting import decide, longest_for, options_of
from sonic_guard.park.job_file import read_job_file
from sonic_guard.park.job_plans import JobPlanner
from sonic_guard.park.journal import Journal
from sonic_guard.park.journal_tables import NewTask, Start, TaskKind, TaskRow, TaskState
from sonic_guard.park.outcomes import Ended, Outcome
from sonic_guard.park.outputs import Outputs
from sonic_guard.park.report import farm_report
from sonic_guard.park.task_content import Cut, label_of, new_tasks, part_of, part_tasks, suffix_of
from sonic_guard.park.tries import Tries
from sonic_guard.planning.part_length import MIN_PART_FRAMES, overlap
from tests.support.graphs import write_wav
from tests.support.installed import PACK

CARDS = ("RTX 4090 24GB",)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("jobs")
    (folder / "portrait.jpg").write_bytes((PACK / "demo" / "portrait.jpg").read_bytes())
    for seconds in (10, 40, 70, 120, 300):
        write_wav(folder / f"{seconds}.wav", seconds)
    return folder


def rows_of(folder, *jobs, finish="none"):
    """Rows of a job file as the journal has them; a job is seconds, or seconds and a part_s."""
    wanted = [each if isinstance(each, tuple) else (each, "") for each in jobs]
    lines = [f'portrait.jpg,{seconds}.wav,v{at},128,"99,99,300,300",1:1,{at},{part_s}'
             for at, (seconds, part_s) in enumerate(wanted)]  # fmt: skip
    file = folder / "jobs.csv"
    file.write_text("image,audio,name,min_resolution,face_box,aspect,seed,part_s\n" + "\n".join(lines))
    tasks = [task for job in read_job_file(file, finish=finish) for task in new_tasks(job, folder)]
    return [row_of(task, at) for at, task in enumerate(tasks)]


def row_of(task: NewTask, position: int = 0) -> TaskRow:
    names = (task.name,) if task.name else ()
    return TaskRow(
        task.task, position, task.content, TaskState.WAITING, 0, (), "", "", 0, "", names, task.kind, task.needs
    )


def planner(*cards):
    return JobPlanner({card: budget_for(card) for card in cards or CARDS}, lambda needed, card: "it does not fit")


# ---- which are cut

CUTS = [
    pytest.param([300], 1, [1], id="one card"),
    pytest.param([300], 2, [2], id="one video on two cards"),
    pytest.param([300], 4, [4], id="one video on four cards"),
    pytest.param([300], 64, [10], id="no part is shorter than 30 s"),
    pytest.param([70], 4, [2], id="70 s are two parts"),
    pytest.param([40], 4, [1], id="40 s are none"),
    pytest.param([300, 300], 2, [1, 1], id="even already"),
    pytest.param([300, 300], 4, [2, 2], id="two videos on four cards"),
    pytest.param([300, 10, 10], 2, [2, 1, 1], id="a long one among short ones"),
    pytest.param([120] * 10, 2, [1] * 10, id="many"),
    pytest.param([(300, 100)], 2, [4], id="in the parts that the job asks for"),
    pytest.param([(300, 40)], 1, [1], id="on one card its parts are one task"),
]


@pytest.mark.parametrize(("jobs", "cards", "parts"), CUTS)
def test_a_video_is_cut_that_takes_longer_than_an_even_share(folder, jobs, cards, parts):
    rows = rows_of(folder, *jobs)
    found = decide(rows, planner(), cards)
    assert [found.cuts[row.task].count if row.task in found.cuts else 1 for row in rows] == parts
    assert sorted([*found.cuts, *found.whole]) == sorted(row.task for row in rows)


def test_what_was_decided_stays(folder):
    rows = [replace(row, is_cut=True) for row in rows_of(folder, 300)]
    assert decide(rows, planner(), 4) == ({}, [])


def test_what_is_broken_or_fits_no_card_is_not_decided(folder):
    row, large = rows_of(folder, 300, 120)
    (folder / "no.jpg").write_bytes(b"no picture")
    broken = replace(row, content={**row.content, "image": str(folder / "no.jpg"), "image_digest": "0" * 64})
    settings = {**large.content["settings"], "min_resolution": 2048, "preset": "hd"}
    large = replace(large, content={**large.content, "settings": settings})
    assert decide([broken, large], planner("RTX 4060 8GB"), 4) == ({}, [])


@pytest.mark.parametrize("frames", [750, 1500, 3750, 45_000])
@pytest.mark.parametrize("count", [1, 2, 3, 5, 17])
def test_parts_are_as_short_as_that_many_can_be(frames, count):
    job = Job(512, 512, frames / LATENT_FPS)
    longest = longest_for(job, count)
    assert len(plan_parts(job, longest)) <= count or longest >= frames
    least = MIN_PART_FRAMES + overlap(job.window)
    assert longest == least or len(plan_parts(job, longest - 1)) > count


# ---- what tasks they become


def test_parts_share_the_time_of_the_whole(folder):
    [row] = rows_of(folder, 300)
    plans = planner()
    cut = decide([row], plans, 3).cuts[row.task]
    parts = [row_of(task) for task in part_tasks(row, cut)]
    whole = plans.options(read_job_file(folder / "jobs.csv")[0])
    seconds = [options_of(part, plans).options[0].seconds_by_card[CARDS[0]] for part in parts]
    assert len(seconds) == 3
    assert max(seconds) < 1.2 * min(seconds)
    assert sum(seconds) == pytest.approx(whole.options[0].seconds_by_card[CARDS[0]], rel=0.25), "and the overlap"
    assert len({part.task for part in parts} | {row.task}) == 4
    assert [part_of(part) for part in parts] == [(index, 3, cut.longest) for index in range(3)]
    assert [label_of(part) for part in parts] == ["v0 (1/3)", "v0 (2/3)", "v0 (3/3)"]
    assert {suffix_of(part) for part in parts} == {".zip"}


def test_a_part_goes_to_cards_that_cut_the_video_in_the_same_way(folder):
    [row] = rows_of(folder, 300)
    part = row_of(part_tasks(row, Cut(2, 1234))[0])
    assert not options_of(part, planner()).options
    assert options_of(part, planner()).refusal == "no card of the farm holds its parts as they are cut"


def test_ids_follow_from_the_content(folder):
    plain, nice = rows_of(folder, 300)[0], rows_of(folder, 300, finish="hd")
    assert [row.kind for row in nice] == [TaskKind.VIDEO, TaskKind.FINISH]
    assert nice[0].task == plain.task
    assert (nice[0].names, nice[1].names, nice[1].needs) == ((), ("v0",), (plain.task,))
    ids = {task.task for cut in (Cut(2, 2000), Cut(3, 2000), Cut(2, 2001)) for task in part_tasks(plain, cut)}
    assert len(ids) == 7
    assert {rows_of(folder, 300, finish=finish)[-1].task for finish in ("none", "fast", "hd")} == {
        plain.task, nice[1].task, rows_of(folder, 300, finish="fast")[1].task,
    }  # fmt: skip


FINISHES = [("", "none"), ("none", "none"), ("fast", "fast"), ("hd", "hd")]


@pytest.mark.parametrize(("cell", "finish"), FINISHES)
def test_a_job_says_how_its_video_is_finished(folder, cell, finish):
    file = folder / "finish.csv"
    file.write_text(f"image,audio,finish\nportrait.jpg,10.wav,{cell}\n")
    [job] = read_job_file(file)
    assert job.finish == finish
    [job] = read_job_file(file, finish="hd")
    assert job.finish == (cell or "hd")


@pytest.mark.parametrize("cell", ["HD", "off", "full", "../hd"])
def test_there_is_no_other_finish(folder, cell):
    file = folder / "finish.csv"
    file.write_text(f"image,audio,finish\nportrait.jpg,10.wav,{cell}\n")
    with pytest.raises(FarmError, match=f"line 2: finish: there is no '{cell}'; choose one of none, fast, hd"):
        read_job_file(file)


# ---- what is made again

TASKS = [
    NewTask("video", "", {"settings": {"format": "h264"}}),
    NewTask("nice", "name", {"settings": {"format": "h264"}}, TaskKind.FINISH, ("video",)),
]
PARTS = [NewTask(part, "", {"settings": {"format": "h264"}}, TaskKind.PART) for part in ("part 1", "part 2")]
START = Start("worker", "http://s", "card", 0, 1, 1.0)


@pytest.fixture
def farm(tmp_path):
    """A journal and outputs of a video that was made in two parts and finished."""
    journal = Journal(tmp_path / "farm.db")
    journal.begin({})
    journal.add(TASKS)
    journal.cut({"video": PARTS}, [])
    for task in ("part 1", "part 2", "video", "nice"):
        temp = objects_folder(tmp_path) / f".{task}"
        temp.write_text(task)
        digest = file_digest(temp)
        keep(tmp_path, temp, task, digest, len(task), ".zip" if task.startswith("part") else ".mp4")
        done = Ended(Outcome.DONE, "", digest, len(task))
        journal.finish(task, journal.start(task, START), done, TaskState.DONE)
    return journal, Outputs(tmp_path, lambda told: None)


def test_a_video_in_parts_is_one_of_its_parts_in_the_journal(farm):
    rows = {row.task: row for row in farm[0].tasks()}
    assert (rows["video"].kind, rows["video"].needs) == (TaskKind.JOIN, ("part 1", "part 2"))
    assert [row.is_cut for row in rows.values()] == [True, False, True, True]
    with pytest.raises(FarmError, match="not waiting"):
        farm[0].cut({"video": PARTS}, [])


GONE = [
    ([], set()),
    (["part 1", "part 2"], set()),
    (["part 1", "video"], set()),
    (["nice"], {"nice"}),
    (["nice", "part 1"], {"nice"}),
    (["nice", "video"], {"nice", "video"}),
    (["nice", "video", "part 2"], {"nice", "video", "part 2"}),
]


@pytest.mark.parametrize(("gone", "again"), GONE)
def test_only_what_a_missing_video_needs_is_made_again(farm, gone, again):
    journal, outputs = farm
    digests = {row.task: row.digest for row in journal.tasks()}
    for task in gone:
        [file] = objects_folder(outputs.out).glob(f"{digests[task]}.*")
        file.unlink()
    rows = outputs.take_stock(journal)
    assert rows.keys() == again
    assert {row.state for row in rows.values()} <= {TaskState.WAITING}
    assert outputs.done.keys() == {"part 1", "part 2", "video", "nice"} - again
    assert (outputs.out / "name.mp4").exists() == ("nice" not in again)


def test_a_part_is_not_kept_when_its_video_is_there(farm):
    journal, outputs = farm
    outputs.take_stock(journal)
    assert len(list(objects_folder(outputs.out).glob("*.zip"))) == 2
    outputs.add(outputs.done["video"])
    assert not list(objects_folder(outputs.out).glob("*.zip"))
    outputs.add(outputs.done["nice"])
    assert len(list(objects_folder(outputs.out).glob("*.mp4"))) == 2, "the video itself is kept"


def test_the_report_has_one_video_with_its_steps(farm):
    report = farm_report(farm[0]).as_dict()
    [video] = report["videos"]
    assert report["counts"]["done"] == 1
    assert [(step["kind"], step["state"]) for step in video["steps"]] == [
        ("part", "done"), ("part", "done"), ("join", "done"), ("finish", "done"),
    ]  # fmt: skip
    assert (video["names"], video["state"], video["id"]) == (["name"], "done", "nice")
    assert report["kinds"] == {kind: {"done": n, "all": n} for kind, n in (("part", 2), ("join", 1), ("finish", 1))}


def test_a_video_is_being_made_between_its_steps(farm):
    journal, _ = farm
    journal.redo(["nice"])
    [video] = farm_report(journal).as_dict()["videos"]
    assert video["state"] == "running"


# ---- how often

ENDS = [
    (Outcome.DONE, 1, TaskState.DONE),
    (Outcome.CANCELLED, 1, TaskState.CANCELLED),
    (Outcome.JOB_FAILED, 1, TaskState.FAILED),
    (Outcome.SERVER_FAILED, 5, TaskState.WAITING),
    (Outcome.SERVER_FAILED, 6, TaskState.FAILED),
    (Outcome.SERVER_DIED, 14, TaskState.WAITING),
    (Outcome.LOST, 15, TaskState.FAILED),
    (Outcome.NO_ROOM, 59, TaskState.WAITING),
    (Outcome.NO_ROOM, 60, TaskState.FAILED),
    (Outcome.OUT_OF_MEMORY, 1000, TaskState.WAITING),
    (Outcome.OUTPUT_FAILED, 1000, TaskState.WAITING),
]


@pytest.mark.parametrize(("outcome", "times", "state"), ENDS)
def test_a_task_fails_after_so_many_ends_of_a_kind(outcome, times, state):
    tries = Tries()
    states = [tries.state_after("task", Ended(outcome)) for _ in range(times)]
    assert states[-1] is state
    assert tries.state_after("other", Ended(Outcome.SERVER_FAILED)) is TaskState.WAITING
