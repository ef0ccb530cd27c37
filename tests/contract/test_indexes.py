"""What every index must do, held against arithmetic in float64."""

from __future__ import annotations

import numpy as np
import pytest

from lookalike.index.exact import ExactIndex
from lookalike.metrics import normalised


def unit(rng: np.random.Generator, n: int, dim: int) -> np.ndarray:
    return normalised(rng.standard_normal((n, dim)).astype(np.float32))


@pytest.mark.parametrize(("n", "dim", "k"), [(1, 8, 1), (7, 8, 5), (1000, 64, 10), (777, 193, 20)])
def test_top_k_is_that_of_plain_arithmetic(n: int, dim: int, k: int) -> None:
    rng = np.random.default_rng(n)
    halves, queries = unit(rng, n, dim).astype(np.float16), unit(rng, 5, dim)
    cosines, rows = ExactIndex(halves).search(queries, k)
    truth = queries.astype(np.float64) @ halves.astype(np.float64).T
    best = np.argsort(-truth, axis=1, kind="stable")[:, :k]
    np.testing.assert_array_equal(rows, best)
    np.testing.assert_allclose(cosines, np.take_along_axis(truth, best, 1), atol=2e-6)


def test_a_filter_searches_only_what_is_allowed() -> None:
    rng = np.random.default_rng(1)
    vectors = unit(rng, 500, 32)
    allowed = rng.random(500) < 0.05
    _, rows = ExactIndex(vectors.astype(np.float16)).search(vectors[:20], 10, allowed=allowed)
    assert allowed[rows].all()
    truth = np.where(allowed, vectors[:20] @ vectors.astype(np.float16).astype(np.float32).T, -9)
    np.testing.assert_array_equal(rows, np.argsort(-truth, axis=1)[:, :10])


def test_where_there_are_fewer_than_k_the_rest_is_minus_one() -> None:
    vectors = unit(np.random.default_rng(2), 20, 8)
    cosines, rows = ExactIndex(vectors.astype(np.float16)).search(vectors[:1], 5, allowed=np.arange(20) < 2)
    assert set(rows[0][:2]) == {0, 1}
    assert list(rows[0][2:]) == [-1, -1, -1]
    assert np.isneginf(cosines[0][2:]).all()
    empty = ExactIndex(np.zeros((0, 8), dtype=np.float16)).search(vectors[:1], 3)
    assert (empty[1] == -1).all()


def test_rows_of_equal_cosine_come_in_their_order() -> None:
    vectors = np.tile(unit(np.random.default_rng(3), 1, 16), (300, 1))
    _, rows = ExactIndex(vectors.astype(np.float16)).search(vectors[:2], 7)
    np.testing.assert_array_equal(rows, np.sort(rows, axis=1))
    signs = np.sign(np.random.default_rng(5).standard_normal((500, 8))) / np.sqrt(8)
    cosines, rows = ExactIndex(signs.astype(np.float16)).search(signs[:20].astype(np.float32), 40)
    np.testing.assert_array_equal(rows, np.take_along_axis(rows, np.lexsort((rows, -cosines), axis=-1), -1))


def test_a_memory_map_is_searched_in_place(tmp_path) -> None:  # type: ignore[no-untyped-def]
    vectors = unit(np.random.default_rng(4), 300, 24).astype(np.float16)
    (tmp_path / "v").write_bytes(vectors.tobytes())
    mapped = np.memmap(tmp_path / "v", dtype=np.float16, mode="r", shape=vectors.shape)
    index = ExactIndex(mapped)
    assert np.shares_memory(index._vectors, mapped)
    _, rows = index.search(vectors[7:8].astype(np.float32), 1)
    assert rows[0][0] == 7
    assert len(index) == 300
