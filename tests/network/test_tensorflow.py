"""TensorFlow is asked to be quiet, and the process's standard error is left alone."""

import importlib
import os
import subprocess
import sys

import pytest

from movinet_lite.network import tensorflow


@pytest.mark.parametrize("given", [None, "0"])
def test_the_log_level_is_asked_for_unless_it_is_set(monkeypatch, given):
    """An application that wants the notes gets them."""
    monkeypatch.delenv("TF_CPP_MIN_LOG_LEVEL", raising=False)
    if given is not None:
        monkeypatch.setenv("TF_CPP_MIN_LOG_LEVEL", given)
    importlib.reload(tensorflow)
    assert os.environ["TF_CPP_MIN_LOG_LEVEL"] == (given or "3")


def test_the_standard_error_stays_where_it_is_while_a_model_loads():
    """An application's lines come out, also those that another thread writes in the middle of LiteRT's start."""
    code = (
        "import os\n"
        "from ai_edge_litert import interpreter\n"
        "from movinet_lite import StreamingClassifier\n"
        "where = os.fstat(2)\n"
        "real = interpreter.Interpreter.__init__\n"
        "def seen(*args, **options):\n"
        "    assert os.path.samestat(where, os.fstat(2))\n"
        "    os.write(2, b'line of the application\\n')\n"
        "    os.abort()\n"
        "interpreter.Interpreter.__init__ = seen\n"
        "StreamingClassifier.load('demo')\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], stderr=subprocess.PIPE, text=True, check=False
    )
    assert done.returncode != 0
    assert "line of the application\n" in done.stderr
