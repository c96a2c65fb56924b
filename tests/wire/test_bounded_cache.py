"""What a cache that is bounded in bytes keeps, and what it forgets."""

from dqlab.wire.bounded_cache import BoundedCache


def test_the_least_lately_used_is_forgotten():
    cache = BoundedCache(100)
    for key in "abc":
        cache.keep(key, key.upper(), 30)
    assert cache.get("a") == "A"
    cache.keep("d", "D", 30)
    assert list(cache) == ["c", "a", "d"]
    assert cache.get("b") is None and not cache.use("b")
    assert cache.use("c") and list(cache) == ["a", "d", "c"]


def test_the_newest_stays_however_large_it_is():
    cache = BoundedCache(100)
    cache.keep("small", 1, 10)
    cache.keep("large", 2, 1000)
    assert list(cache) == ["large"]
    cache.keep("small", 1, 10)
    assert list(cache) == ["small"]


def test_what_is_kept_again_counts_once():
    cache = BoundedCache(100)
    for _ in range(10):
        cache.keep("a", 1, 40)
    cache.keep("b", 2, 60)
    assert len(cache) == 2
