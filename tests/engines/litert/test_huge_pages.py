"""Models on huge pages: the same logits, no memory of others, and no error where the system refuses."""

import mmap
import subprocess
import sys
from collections.abc import Iterator

import numpy as np
import pytest

from movinet_lite import StreamingClassifier
from movinet_lite.engines.litert import graphs, huge_pages
from movinet_lite.engines.litert.huge_pages import HugePages

_BYTES = 16 * 2**20
_CONTENT = b"\1" * _BYTES


@pytest.fixture(autouse=True)
def _settings_read_anew() -> Iterator[None]:
    """The system's settings and functions are read once a process."""
    huge_pages._page_bytes.cache_clear()
    huge_pages._advise.cache_clear()
    yield
    huge_pages._page_bytes.cache_clear()
    huge_pages._advise.cache_clear()


@pytest.fixture
def moved(monkeypatch) -> list[int]:
    """How many bytes each graph moves."""
    moved = []
    collapse = HugePages.collapse

    def note(self: HugePages) -> int:
        moved.append(collapse(self))
        return moved[-1]

    monkeypatch.setattr(HugePages, "collapse", note)
    return moved


_STREAM = """
import numpy as np
from movinet_lite import StreamingClassifier
from movinet_lite.engines.litert.huge_pages import HugePages

collapse = HugePages.collapse
HugePages.collapse = lambda self: print(collapse(self))
session = StreamingClassifier.load("demo", threads=1)
for _ in range(20):
    session.step(np.zeros((64, 64, 3), np.uint8))
"""


def mapped() -> mmap.mmap:
    """Memory of this process, written to."""
    memory = mmap.mmap(-1, _BYTES, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    memory.write(_CONTENT)
    return memory


def skip_if_refused(num_bytes: int) -> None:
    """Some systems have no huge pages, or have run out of them."""
    if not num_bytes:
        pytest.skip("this system gives no huge pages")


def test_memory_of_others_stays_where_it_is():
    """Only what was mapped while LiteRT worked is moved, and its contents stay."""
    pages = HugePages()
    before = mapped()
    with pages.noting():
        memory = mapped()
    after = mapped()
    num_bytes = pages.collapse()
    skip_if_refused(num_bytes)
    assert _BYTES - 2 * huge_pages._page_bytes() <= num_bytes <= _BYTES
    assert memory[:] == before[:] == after[:] == _CONTENT


def test_logits_are_the_same_after_the_move(monkeypatch, moved):
    """To the last bit; each graph is moved once, when all of its memory is there."""
    clip = np.random.default_rng(0).integers(0, 256, (12, 64, 64, 3), np.uint8)
    logits = {}
    for calls in (graphs._CALLS_BEFORE_HUGE_PAGES, 10**9):
        monkeypatch.setattr(graphs, "_CALLS_BEFORE_HUGE_PAGES", calls)
        session = StreamingClassifier.load("demo", horizon_s=None)
        logits[calls] = [session.step(frame).logits for frame in clip]
    moved_logits, plain_logits = logits.values()
    np.testing.assert_array_equal(moved_logits, plain_logits)
    assert len(moved) == 1


def test_a_stream_moves_its_memory_once():
    """The weights and tensors of the demo's model take ten megabytes; in this process they could reuse memory of earlier tests."""
    done = subprocess.run(
        [sys.executable, "-c", _STREAM], capture_output=True, text=True, check=True
    )
    pages = HugePages()
    with pages.noting():
        memory = mapped()
    skip_if_refused(pages.collapse())
    memory.close()
    (num_bytes,) = map(int, done.stdout.split())
    assert num_bytes >= 4 * 2**20


def test_a_system_that_refuses_is_no_error(monkeypatch):
    """The memory stays where it is."""
    monkeypatch.setattr(huge_pages, "_advise", lambda: lambda *_: -1)
    pages = HugePages()
    with pages.noting():
        memory = mapped()
    assert pages.collapse() == 0
    assert memory[:] == _CONTENT


@pytest.mark.parametrize("enabled", ["always madvise [never]", None])
def test_huge_pages_can_be_switched_off(monkeypatch, tmp_path, enabled):
    """By the administrator; a system without the setting has none."""
    if enabled:
        (tmp_path / "enabled").write_text(enabled)
        (tmp_path / "hpage_pmd_size").write_text(f"{2**21}\n")
    monkeypatch.setattr(huge_pages, "_SETTINGS", tmp_path)
    monkeypatch.setattr(huge_pages, "_advise", lambda: pytest.fail("madvise is called"))
    pages = HugePages()
    with pages.noting():
        mapped()
    assert pages.collapse() == 0


def test_memory_that_is_given_back_meanwhile_is_no_error():
    """What was mapped at first may not be there any more."""
    pages = HugePages()
    with pages.noting():
        memory = mapped()
    memory.close()
    pages.collapse()
