"""The types of options: what they take, and what they say about the rest."""

import argparse
import re

import pytest

from movinet_lite.cli.arguments import count, not_negative, random_seed, threads
from movinet_lite.cli.program import make_parser


def typed_options(parser, name=""):
    """Yield the command, the name and the type of each option that converts its text."""
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for command, found in action.choices.items():
                yield from typed_options(found, command)
        elif action.type is not None:
            yield name, action.option_strings or action.dest, action.type


def test_every_option_says_what_it_takes_and_what_came():
    """No command shows argparse's own words, such as "invalid float value", for a number that is none."""
    found = list(typed_options(make_parser()))
    assert {"teach", "fine-tune", "watch"} <= {command for command, _, _ in found}
    for command, option, convert in found:
        said = what_it_says(convert, "?!")
        assert re.fullmatch(r"must .*; got '\?!'|", said), (command, option, said)


def what_it_says(convert, text):
    """Return why *text* is refused; nothing if it is taken."""
    try:
        convert(text)
    except (argparse.ArgumentTypeError, ValueError, TypeError) as error:
        return str(error) or repr(error)
    return ""


@pytest.mark.parametrize("option", [("--tolerance", "abc"), ("--tolerance", "nan")])
def test_a_tolerance_must_be_a_number(capsys, option):
    """The rule and the value stand in one line."""
    with pytest.raises(SystemExit):
        make_parser().parse_args(["teach", "x", "--output", "x.fewshot", *option])
    wanted = f"argument --tolerance: must be a number, at least 0; got {option[1]!r}"
    assert wanted in capsys.readouterr().err


@pytest.mark.parametrize(
    ("convert", "lowest", "wrong"),
    [
        (count, "1", ("0", "-1", "1.0", "1e3", "")),
        (random_seed, "0", ("-1", "0.5", "nan")),
        (threads, "1", ("0", "999999999999")),
        (not_negative, "0", ("-1e-9", "inf", "nan", "")),
    ],
)
def test_numbers_have_limits(convert, lowest, wrong):
    """The lowest number is taken, and what is beyond the limits is refused."""
    assert convert(lowest) == float(lowest)
    for text in wrong:
        with pytest.raises(argparse.ArgumentTypeError, match=r"^must be .*; got '"):
            convert(text)
