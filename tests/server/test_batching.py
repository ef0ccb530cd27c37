"""Requests are embedded together, behind bounded queues: with models that tell what they are given, and can be held."""

from __future__ import annotations

import asyncio
import base64
import http.client
import io
import json
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from urllib.parse import urlsplit

import numpy as np
import pytest
from PIL import Image
from starlette.testclient import TestClient

import lookalike
from lookalike.embedding import BATCH
from lookalike.errors import UnreadableImage
from lookalike.models import registry
from lookalike.server.app import create_app
from lookalike.server.batching import AT_ONCE, Batcher, Source
from lookalike.server.problems import Problem
from lookalike.server.settings import Settings
from lookalike.server.threads import Pool
from lookalike.types import ModelCard, Picture
from tests.server import colour_words
from tests.server.conftest import running


class Held:
    """A model of one number a picture, its brightness, which does nothing while it is held."""

    def __init__(self, name: str) -> None:
        self.batches: list[int] = []
        self.begun = threading.Semaphore(0)
        self.go_on = threading.Event()
        lookalike.model(name, dim=2, size=(2, 2))(self.embed)
        self.card: ModelCard = registry.card(name)

    def embed(self, pixels: np.ndarray) -> np.ndarray:
        self.batches.append(len(pixels))
        self.begun.release()
        assert self.go_on.wait(30)
        bright = pixels.mean(axis=(1, 2, 3))
        if (bright == 66).any():
            raise ValueError("66 is not a number that this model likes")
        return np.stack([np.cos(bright / 200), np.sin(bright / 200)], axis=1)

    def expected(self, *greys: int) -> np.ndarray:
        return np.stack([np.cos(np.array(greys) / 200), np.sin(np.array(greys) / 200)], axis=1)


@pytest.fixture
def held() -> Iterator[Held]:
    model = Held("held")
    yield model
    model.go_on.set()


@pytest.fixture
def batcher() -> Iterator[Batcher]:
    batcher = Batcher(queue=20)
    yield batcher
    batcher.close()


def grey(value: int) -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (20, 20), (value, value, value)).save(out, "PNG")
    return out.getvalue()


def source(data: bytes | int, seen: Callable[[Picture], Sequence[Picture]] | None = None, count: int = 1) -> Source:
    data = grey(data) if isinstance(data, int) else data
    return Source(data, {512}, seen, count) if seen else Source(data, {512})


async def until(happens: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not happens():
            await asyncio.sleep(0.001)


def eventually(happens: Callable[[], bool]) -> None:
    asyncio.run(until(happens))


def waiting(batcher: Batcher, name: str = "held") -> int:
    return batcher.figures()[name].waiting


def test_what_waits_is_embedded_together_and_everyone_gets_their_own(batcher: Batcher, held: Held) -> None:
    async def main() -> list[np.ndarray]:
        first = asyncio.ensure_future(batcher.embed(source(0), held.card))
        assert await asyncio.to_thread(
            held.begun.acquire, timeout=20
        )  # alone: nobody else was there, and it did not wait for others
        others = [asyncio.ensure_future(batcher.embed(source(i), held.card)) for i in range(1, 13)]
        await until(lambda: waiting(batcher) == 12)
        held.go_on.set()
        return list(await asyncio.gather(first, *others))

    rows = np.concatenate(asyncio.run(main()))
    np.testing.assert_allclose(rows, held.expected(*range(13)), atol=1e-6)
    assert held.batches == [1, BATCH, 12 - BATCH]
    assert batcher.figures()["held"].embedded == 13


def test_a_full_queue_says_when_to_come_back(batcher: Batcher, held: Held) -> None:
    async def main() -> Problem:
        first = asyncio.ensure_future(batcher.embed(source(0), held.card))
        assert await asyncio.to_thread(held.begun.acquire, timeout=20)
        others = [asyncio.ensure_future(batcher.embed(source(i), held.card)) for i in range(20)]
        await until(lambda: waiting(batcher) == 20)
        with pytest.raises(Problem) as refused:
            await batcher.embed(source(1), held.card)
        held.go_on.set()
        await asyncio.gather(first, *others)
        await batcher.embed(source(1), held.card)
        return refused.value

    problem = asyncio.run(main())
    assert problem.status_code == 429 and "'held'" in problem.detail
    assert 1 <= int((problem.headers or {})["Retry-After"]) <= 60
    assert batcher.figures()["held"].refused == 1


def test_pictures_that_are_named_are_read_when_their_turn_has_come(batcher: Batcher, held: Held) -> None:
    read: list[int] = []

    def of(value: int) -> bytes:
        read.append(value)
        return grey(value)

    async def main() -> None:
        first = asyncio.ensure_future(batcher.embed(source(0), held.card))
        assert await asyncio.to_thread(held.begun.acquire, timeout=20)
        others = [batcher.embed(Source(partial(of, i), {512}), held.card) for i in range(1, 4)]
        named = asyncio.ensure_future(asyncio.gather(*others))
        await until(lambda: waiting(batcher) == 3)
        assert read == []
        held.go_on.set()
        await first
        np.testing.assert_allclose(np.concatenate(await named), held.expected(1, 2, 3), atol=1e-6)

    asyncio.run(main())
    assert sorted(read) == [1, 2, 3]


def test_who_goes_away_gives_up_the_place(batcher: Batcher, held: Held) -> None:
    async def main() -> None:
        first = asyncio.ensure_future(batcher.embed(source(0), held.card))
        assert await asyncio.to_thread(held.begun.acquire, timeout=20)
        others = [asyncio.ensure_future(batcher.embed(source(i), held.card)) for i in range(20)]
        await until(lambda: waiting(batcher) == 20)
        for each in others[:19]:
            each.cancel()
        await until(lambda: waiting(batcher) == 1)
        more = asyncio.ensure_future(batcher.embed(source(5), held.card))
        await until(lambda: waiting(batcher) == 2)
        held.go_on.set()
        await asyncio.gather(first, others[19], more)

    asyncio.run(main())
    assert held.batches == [1, 2]


def test_a_slow_model_is_in_nobodys_way(batcher: Batcher, held: Held) -> None:
    async def main() -> None:
        slow = [asyncio.ensure_future(batcher.embed(source(i), held.card)) for i in range(20)]
        assert await asyncio.to_thread(held.begun.acquire, timeout=20)
        rows = await batcher.embed(source(200), registry.card("color"))
        assert rows.shape == (1, registry.card("color").dim)
        assert not any(each.done() for each in slow)
        held.go_on.set()
        await asyncio.gather(*slow)

    asyncio.run(main())


def test_an_odd_picture_does_no_harm_to_its_neighbours(batcher: Batcher, held: Held) -> None:
    held.go_on.set()

    def nothing() -> bytes:
        raise Problem(404, "gone")

    async def main() -> list[object]:
        odd = [source(1), source(b"no image"), source(66), Source(nothing, {512}), source(3)]
        return list(await asyncio.gather(*(batcher.embed(each, held.card) for each in odd), return_exceptions=True))

    one, unreadable, disliked, gone, three = asyncio.run(main())
    np.testing.assert_allclose(np.vstack([one, three]), held.expected(1, 3), atol=1e-6)  # type: ignore[list-item]
    assert isinstance(unreadable, UnreadableImage) and isinstance(disliked, UnreadableImage)
    assert "likes" not in disliked.reason  # what a library says is for the log
    assert isinstance(gone, Problem) and gone.status == 404


def test_a_picture_is_decoded_once_for_all_that_look_at_it_and_then_let_go(batcher: Batcher) -> None:
    seen: list[Picture] = []
    models = [Held("first"), Held("second")]
    picture = source(7, lambda picture: (seen.append(picture), [picture, picture, picture])[1], count=3)

    async def main() -> None:
        asked = [asyncio.ensure_future(batcher.embed(picture, model.card)) for model in models]
        for model in models:
            assert await asyncio.to_thread(model.begun.acquire, timeout=20)
        for model in models:
            model.go_on.set()
        for rows, model in zip(await asyncio.gather(*asked), models, strict=True):
            np.testing.assert_allclose(rows, model.expected(7, 7, 7), atol=1e-6)
        async with asyncio.timeout(20):
            while seen[-1] is seen[0]:  # who got the vectors may be back before the picture was let go
                await batcher.embed(picture, models[0].card)

    asyncio.run(main())
    assert seen[0] is seen[1]
    assert models[1].batches == [3]


def test_a_long_request_is_let_in_as_a_whole_and_leaves_room_for_others(batcher: Batcher, held: Held) -> None:
    async def items(count: int) -> object:
        for i in range(count):
            yield source(i)

    async def main() -> np.ndarray:
        long = asyncio.ensure_future(batcher.embed_all(items(50), held.card))
        assert await asyncio.to_thread(held.begun.acquire, timeout=20)
        await until(lambda: waiting(batcher) >= AT_ONCE - BATCH)
        short = asyncio.ensure_future(batcher.embed(source(9), held.card))
        await asyncio.sleep(0.02)
        assert waiting(batcher) <= AT_ONCE + 1
        held.go_on.set()
        await short
        assert not long.done()
        return await long

    np.testing.assert_allclose(asyncio.run(main()), held.expected(*range(50)), atol=1e-6)
    assert sum(held.batches) == 51


def test_what_waits_at_the_end_is_told(held: Held) -> None:
    batcher = Batcher(queue=20)

    async def main() -> list[object]:
        asked = [asyncio.ensure_future(batcher.embed(source(i), held.card)) for i in range(3)]
        assert await asyncio.to_thread(held.begun.acquire, timeout=20)
        closing = asyncio.ensure_future(asyncio.to_thread(batcher.close))
        await until(lambda: waiting(batcher) == 0)
        held.go_on.set()
        await closing
        with pytest.raises(Problem) as late:
            await batcher.embed(source(1), held.card)
        assert late.value.status_code == 503
        return list(await asyncio.gather(*asked, return_exceptions=True))

    found = asyncio.run(main())
    assert sum(isinstance(each, np.ndarray) for each in found) == held.batches[0]
    assert {each.status_code for each in found if isinstance(each, Problem)} <= {503}
    assert not [thread.name for thread in threading.enumerate() if thread.name in ("embed-held", "decode_0")]


def test_a_model_that_is_registered_anew_is_embedded_by_anew(batcher: Batcher) -> None:
    async def embed() -> np.ndarray:
        return await batcher.embed(source(7), registry.card("changing"))

    lookalike.model("changing", dim=2, size=(2, 2), revision="1")(lambda pixels: [[1, 0]] * len(pixels))
    np.testing.assert_array_equal(asyncio.run(embed()), [[1, 0]])
    lookalike.model("changing", dim=2, size=(2, 2), revision="2")(lambda pixels: [[0, 1]] * len(pixels))
    np.testing.assert_array_equal(asyncio.run(embed()), [[0, 1]])


def test_words_are_embedded_by_models_that_read_them(batcher: Batcher) -> None:
    reader = registry.card(colour_words.register())

    async def main() -> tuple[list[np.ndarray], object]:
        rows = await asyncio.gather(*(batcher.embed(word, reader) for word in ("red", "green", "blue")))
        (unread,) = await asyncio.gather(batcher.embed("red", registry.card("color")), return_exceptions=True)
        return rows, unread

    rows, unread = asyncio.run(main())
    np.testing.assert_allclose(np.concatenate(rows), np.eye(3))
    assert isinstance(unread, Problem) and unread.status == 422


def test_a_pool_is_bounded_too() -> None:
    pool, go_on, begun = Pool("sums", 1, 2), threading.Event(), threading.Semaphore(0)

    def add(a: int, b: int) -> int:
        begun.release()
        assert go_on.wait(30)
        return a + b

    async def main() -> None:
        running = asyncio.ensure_future(pool.run(add, 1, 2))
        assert await asyncio.to_thread(begun.acquire, timeout=20)
        left, stays = (asyncio.ensure_future(pool.run(add, i, i)) for i in range(2))
        await asyncio.sleep(0)
        with pytest.raises(Problem, match="busy"):
            await pool.run(add, 3, 4)
        left.cancel()
        await asyncio.sleep(0)
        further = asyncio.ensure_future(pool.run(add, 5, 5))
        await asyncio.sleep(0)
        go_on.set()
        assert await asyncio.gather(running, stays, further) == [3, 2, 10]

    asyncio.run(main())
    pool.close()
    assert begun._value == 2  # of four, one had begun before, and one was never to begin


# -- the same through the door -----------------------------------------------------------------------------------


JSON = {"Content-Type": "application/json"}


def body(model: str, value: int) -> str:
    uri = f"data:image/png;base64,{base64.b64encode(grey(value)).decode()}"
    return json.dumps({"model": model, "input": uri})


def test_the_service_refuses_with_retry_after_and_answers_pages_meanwhile(settings: Settings, held: Held) -> None:
    with TestClient(create_app(replace(settings, queue=2)), base_url="http://localhost") as client:
        answers: list[int] = []

        def ask() -> None:
            answers.append(client.post("/v1/embeddings", content=body("held", 1), headers=JSON).status_code)

        threads = [threading.Thread(target=ask) for _ in range(3)]
        threads[0].start()
        assert held.begun.acquire(timeout=20)
        for thread in threads[1:]:
            thread.start()
        eventually(lambda: 'lookalike_waiting{model="held"} 2.0' in client.get("/metrics").text)
        refused = client.post("/v1/embeddings", content=body("held", 1), headers=JSON)
        assert refused.status_code == 429 and int(refused.headers["Retry-After"]) >= 1
        assert client.get("/search").status_code == 200
        assert client.post("/v1/embeddings", content=body("color", 1), headers=JSON).status_code == 200
        held.go_on.set()
        for thread in threads:
            thread.join(20)
        assert answers == [200, 200, 200]


def test_a_client_that_hangs_up_is_not_worked_for(settings: Settings, held: Held) -> None:
    with running(settings) as address:
        place = urlsplit(address)

        def asking(value: int) -> http.client.HTTPConnection:
            connection = http.client.HTTPConnection(str(place.hostname), place.port, timeout=20)
            connection.request("POST", "/v1/embeddings", body("held", value), JSON)
            return connection

        def metrics() -> str:
            connection = http.client.HTTPConnection(str(place.hostname), place.port, timeout=20)
            connection.request("GET", "/metrics")
            text = connection.getresponse().read().decode()
            connection.close()
            return text

        first = asking(1)
        assert held.begun.acquire(timeout=20)
        second, third = asking(2), asking(3)
        eventually(lambda: 'lookalike_waiting{model="held"} 2.0' in metrics())
        second.close()
        eventually(lambda: 'lookalike_waiting{model="held"} 1.0' in metrics())
        held.go_on.set()
        for connection in (first, third):
            assert connection.getresponse().status == 200
            connection.close()
        assert held.batches == [1, 1]
