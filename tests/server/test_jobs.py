"""Work that takes longer than a request."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator

import pytest
from starlette.testclient import TestClient

import lookalike
from lookalike.errors import UsageError
from lookalike.indexing import Progress
from lookalike.server.jobs import Job, Jobs
from lookalike.server.problems import Problem


@pytest.fixture
def jobs() -> Iterator[Jobs]:
    all_jobs = Jobs()
    yield all_jobs
    all_jobs.close()


def over(jobs: Jobs, job: Job) -> Job:
    for thread in threading.enumerate():
        if thread.name == f"job-{job.id}":
            thread.join(10)
    return jobs.by_id(job.id)


def endless(begun: threading.Event, going: threading.Event) -> Callable[[Progress], None]:
    """Work that goes on until it is stopped."""

    def work(tell: Progress) -> None:
        begun.set()
        while True:
            going.wait(0.01)
            tell("counting", 1, 3)

    return work


def test_a_job_tells_its_progress_and_gives_its_result(jobs: Jobs) -> None:
    seen, going = threading.Event(), threading.Event()

    def work(tell: Progress) -> dict[str, int]:
        tell("embedding", 2, 7)
        seen.set()
        assert going.wait(10)
        return {"added": 7}

    job = jobs.start("photos", "Adding", work)
    assert seen.wait(10)
    now = jobs.by_id(job.id)
    assert (now.state, now.phase, now.done, now.total, now.over) == ("running", "embedding", 2, 7, False)
    assert jobs.get("photos") == now
    going.set()
    assert over(jobs, job).state == "done"
    assert jobs.by_id(job.id).result == {"added": 7}
    assert jobs.get("others") is None


def test_of_a_key_one_runs_at_a_time_and_can_be_stopped(jobs: Jobs) -> None:
    begun, going = threading.Event(), threading.Event()
    job = jobs.start("photos", "Adding", endless(begun, going))
    assert begun.wait(10)
    with pytest.raises(Problem, match="Adding still runs") as refused:
        jobs.start("photos", "Adding more", lambda tell: None)
    assert refused.value.status == 409
    jobs.stop(job.id)
    assert over(jobs, job).state == "stopped"
    again = jobs.start("photos", "Adding more", lambda tell: 3)
    assert over(jobs, again).result == 3


def test_what_fails_says_why_in_a_line(jobs: Jobs, caplog: pytest.LogCaptureFixture) -> None:
    def refused(tell: Progress) -> None:
        raise UsageError("no such folder")

    def broken(tell: Progress) -> None:
        raise ZeroDivisionError("a secret")

    assert over(jobs, jobs.start("a", "one", refused)).error == "no such folder"
    told = over(jobs, jobs.start("b", "other", broken)).error
    assert told is not None and "secret" not in told
    assert "ZeroDivisionError" in caplog.text


def test_what_fails_tells_collections_by_their_names(served: TestClient, collection: lookalike.Collection) -> None:
    jobs: Jobs = served.app.state.service.jobs  # type: ignore[attr-defined]

    def refused(tell: Progress) -> None:
        raise UsageError(f"{collection.directory}: another process is indexing into it")

    job = over(jobs, jobs.start("photos", "Adding", refused))
    assert served.get(f"/jobs/{job.id}").json()["error"] == "photos: another process is indexing into it"


def test_all_end_with_the_service(jobs: Jobs) -> None:
    begun, going = threading.Event(), threading.Event()
    job = jobs.start("photos", "Adding", endless(begun, going))
    assert begun.wait(10)
    jobs.close()
    assert jobs.by_id(job.id).state == "stopped"


def test_jobs_are_served_once_and_live(served: TestClient) -> None:
    jobs: Jobs = served.app.state.service.jobs  # type: ignore[attr-defined]
    job = jobs.start("photos", "Adding \x1b[31mred", lambda tell: {"added": 1})
    over(jobs, job)
    told = served.get(f"/jobs/{job.id}").json()
    assert (told["state"], told["result"], told["over"]) == ("done", {"added": 1}, True)
    assert "\x1b" not in told["name"]
    events = served.get(f"/jobs/{job.id}/events")
    assert events.headers["content-type"].startswith("text/event-stream")
    (line,) = (line for line in events.text.splitlines() if line)
    assert json.loads(line.removeprefix("data: ")) == told
    for address in ("/jobs/unknown", "/jobs/unknown/events"):
        assert served.get(address).status_code == 404
