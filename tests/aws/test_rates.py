"""Token buckets, on a clock of their own."""

from __future__ import annotations

import pytest

from tunewright.aws.session import DEFAULT_RATE, Rates, TokenBucket


class FakeTime:
    def __init__(self) -> None:
        self.now = 100.0
        self.slept: list[float] = []

    def clock(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds


@pytest.fixture
def fake() -> FakeTime:
    return FakeTime()


def bucket(fake: FakeTime, rate: float) -> TokenBucket:
    return TokenBucket(rate, clock=fake.clock, sleep=fake.sleep)


def test_requests_go_at_the_rate(fake: FakeTime) -> None:
    one = bucket(fake, 2.0)
    for _ in range(5):
        one.acquire()
    assert fake.slept == [0.5] * 4
    assert fake.now == 102.0


def test_idle_time_gives_no_burst(fake: FakeTime) -> None:
    one = bucket(fake, 1.0)
    fake.now += 60
    one.acquire()
    one.acquire()
    assert fake.slept == [1.0]


def test_delay_says_when_and_takes_nothing(fake: FakeTime) -> None:
    one = bucket(fake, 1.0)
    assert one.delay() == 0
    one.acquire()
    assert one.delay() == one.delay() == 1.0


def test_throttling_halves_the_rate_down_to_a_two_hundredth(fake: FakeTime) -> None:
    one = TokenBucket(1.0, speed=1e-4, clock=fake.clock, sleep=fake.sleep)  # it hardly recovers meanwhile
    one.throttled()
    assert one.rate == 0.5
    assert one.delay() == 2.0
    for _ in range(10):
        one.acquire()
        one.throttled()
    assert one.rate == 1 / 200


def test_repetitions_of_a_refused_request_count_once(fake: FakeTime) -> None:
    """boto3 repeats it twice within a second or two, whatever the bucket says."""
    one = bucket(fake, 1.0)
    for _ in range(3):
        one.throttled()
        fake.now += 0.5
    assert one.rate == 0.5
    assert one.delay() == pytest.approx(1.5)
    one.acquire()
    one.throttled()
    assert one.rate == 0.25


def test_a_faster_clock_recovers_faster(fake: FakeTime) -> None:
    one = TokenBucket(1.0, speed=10.0, clock=fake.clock, sleep=fake.sleep)
    one.throttled()
    fake.now += 1.1
    assert one.rate == pytest.approx(0.55)


def test_the_rate_recovers(fake: FakeTime) -> None:
    one = bucket(fake, 1.0)
    one.throttled()
    fake.now += 9.9
    assert one.rate == 0.5
    fake.now += 0.2
    assert one.rate == pytest.approx(0.55)
    fake.now += 1000
    assert one.rate == 1.0


def test_a_rate_is_positive() -> None:
    with pytest.raises(ValueError, match="positive"):
        TokenBucket(0)


def test_rates_are_multiplied_by_the_speed() -> None:
    rates = Rates(speed=60)
    assert rates.bucket("CreateTrainingJob").rate == 60
    assert rates.bucket("PutObject").rate == DEFAULT_RATE * 60
    assert rates.bucket("PutObject") is rates.bucket("PutObject")
