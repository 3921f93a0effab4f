from __future__ import annotations

import signal
import threading

import pytest

import lrscout
from tests.problems import quadratic_loop


class CountsRestores:
    def __init__(self, on_restore=lambda: None) -> None:
        self.lr, self.restores, self._on_restore = 0.1, 0, on_restore

    def snapshot(self) -> int:
        return 1

    def restore(self, snapshot: object) -> None:
        self._on_restore()
        self.restores += 1


def test_the_block_may_do_what_it_likes() -> None:
    loop = quadratic_loop()
    first = loop.step(0.1)
    home = loop.snapshot()
    with lrscout.restored(loop):
        loop.step(100.0)
    assert loop.step(0.1) < first
    loop.restore(home)


def test_an_error_comes_through_after_the_way_home() -> None:
    loop = CountsRestores()
    with pytest.raises(ZeroDivisionError), lrscout.restored(loop):
        raise ZeroDivisionError
    assert loop.restores == 1


def test_a_second_control_c_waits_until_the_loop_is_home() -> None:
    loop = CountsRestores(on_restore=lambda: signal.raise_signal(signal.SIGINT))
    with pytest.raises(KeyboardInterrupt), lrscout.restored(loop):
        signal.raise_signal(signal.SIGINT)
    assert loop.restores == 1


def test_a_control_c_on_the_way_home_is_not_lost() -> None:
    loop = CountsRestores(on_restore=lambda: signal.raise_signal(signal.SIGINT))
    with pytest.raises(KeyboardInterrupt), lrscout.restored(loop):
        pass
    assert loop.restores == 1


def test_the_users_own_handler_is_asked_and_put_back() -> None:
    asked = []
    handler = signal.signal(signal.SIGINT, lambda *_: asked.append(1))
    try:
        mine = signal.getsignal(signal.SIGINT)
        with lrscout.restored(CountsRestores()):
            signal.raise_signal(signal.SIGINT)
        assert asked == [1]
        assert signal.getsignal(signal.SIGINT) is mine
    finally:
        signal.signal(signal.SIGINT, handler)


def test_a_handler_that_does_not_raise_hears_every_interrupt() -> None:
    asked = []
    handler = signal.signal(signal.SIGINT, lambda *_: asked.append(1))
    try:
        with lrscout.restored(CountsRestores()):
            signal.raise_signal(signal.SIGINT)
            signal.raise_signal(signal.SIGINT)
            assert asked == [1, 1]
    finally:
        signal.signal(signal.SIGINT, handler)


def test_it_works_in_another_thread_and_inside_itself() -> None:
    loop = CountsRestores()

    def work() -> None:
        with lrscout.restored(loop), lrscout.restored(loop):
            pass

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    work()
    assert loop.restores == 4
