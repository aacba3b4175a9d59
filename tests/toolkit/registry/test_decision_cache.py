"""The cache of access decisions."""

from time import monotonic

from titanic_survival.toolkit.registry.decision_cache import AccessDecision, DecisionCache

ACCEPTED, REJECTED, UNAVAILABLE, EXPIRED = (
    AccessDecision(200, monotonic() + 1000),
    AccessDecision(403, monotonic() + 1000),
    AccessDecision(503, monotonic() + 1000),
    AccessDecision(200, monotonic()),
)


def test_newest_decision_replaces_the_one_before() -> None:
    cache = DecisionCache(5)
    cache.store(b"a", ACCEPTED)
    cache.store(b"a", REJECTED)
    assert (cache.accepted(b"a"), cache.rejected(b"a"), cache.is_known(b"a")) == (None, REJECTED, False)
    cache.store(b"a", ACCEPTED)
    assert (cache.accepted(b"a"), cache.rejected(b"a"), cache.is_known(b"a")) == (ACCEPTED, None, True)


def test_unavailable_check_leaves_what_was_accepted() -> None:
    cache = DecisionCache(5)
    cache.store(b"a", ACCEPTED)
    cache.store(b"a", UNAVAILABLE)
    assert (cache.accepted(b"a"), cache.rejected(b"a")) == (ACCEPTED, UNAVAILABLE)


def test_expired_decision_does_not_hold_but_its_credentials_are_known() -> None:
    cache = DecisionCache(5)
    cache.store(b"a", EXPIRED)
    assert (cache.accepted(b"a"), cache.is_known(b"a")) == (None, True)


def test_oldest_is_forgotten_first() -> None:
    cache = DecisionCache(2)
    for key in (b"a", b"b", b"a", b"c"):
        cache.store(key, ACCEPTED)
    assert [cache.is_known(key) for key in (b"a", b"b", b"c")] == [True, False, True]


def test_key_belongs_to_one_header_and_one_cache() -> None:
    cache = DecisionCache(2)
    assert cache.key(b"Basic a") == cache.key(b"Basic a") != cache.key(b"Basic b")
    assert cache.key(b"Basic a") != DecisionCache(2).key(b"Basic a")
