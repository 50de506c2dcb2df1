"""What every test may use: a hypothesis profile, a cache, exports of the Model Garden, and a quiet TensorFlow."""

import gc
import os
from collections.abc import Generator
from pathlib import Path

import pytest
from hypothesis import settings

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
if (
    "PYTEST_XDIST_WORKER" in os.environ
):  # the workers fill the cores: more threads only wait
    os.environ.setdefault("TF_NUM_INTRAOP_THREADS", "1")
    os.environ.setdefault("TF_NUM_INTEROP_THREADS", "1")

settings.register_profile("movinet_lite", max_examples=50, deadline=None)
settings.load_profile("movinet_lite")


@pytest.hookimpl(wrapper=True, optionalhook=True)
def pytest_xdist_auto_num_workers() -> Generator[None, int, int]:
    """Run one worker more than there are cores: tests of live sources, signals and processes mostly wait."""
    number = yield
    return number + ("PYTEST_XDIST_AUTO_NUM_WORKERS" not in os.environ)


def pytest_collection_finish() -> None:
    """Leave what was imported and collected out of garbage collection: with TensorFlow, it is a million objects.

    This saves a fourteenth of the CPU time of tests that build graphs.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 100)


@pytest.fixture(scope="session", autouse=True)
def _own_cache(tmp_path_factory):
    """Keep models that tests fetch or compile out of the user's cache, and use none that another run left there."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MOVINET_LITE_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="session")
def oracle_export():
    """Return a function from an export's name to its folder; it skips the test where there is none."""
    root = os.environ.get("MOVINET_LITE_ORACLE")

    def find(name: str) -> Path:
        if not root:
            pytest.skip(
                "MOVINET_LITE_ORACLE names no folder with exports of the Model Garden"
            )
        folder = Path(root) / name
        if not (folder / "reference.npz").is_file():
            pytest.skip(f"the folder MOVINET_LITE_ORACLE holds no export {name!r}")
        return folder

    return find


@pytest.fixture(scope="session")
def shared_data():
    """Return a function from the name of a real video to its path; it skips the test where there is none."""
    return _shared_file("data")


@pytest.fixture(scope="session")
def shared_torch():
    """Return a function from the name of a file that PyTorch wrote to its path; it skips the test where there is none."""
    return _shared_file("torch")


def _shared_file(folder: str):
    beside = Path(__file__).parents[2] / "shared"
    root = Path(os.environ.get("MOVINET_LITE_SHARED") or beside)

    def find(name: str) -> Path:
        path = root / folder / name
        if not path.is_file():
            pytest.skip(
                f"no {folder}/{name} in the folder MOVINET_LITE_SHARED, or in shared/ beside the repository"
            )
        return path

    return find
