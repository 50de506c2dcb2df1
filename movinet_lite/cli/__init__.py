"""The command line.

Results go to the standard output, one line each; whatever else there is to say goes to the standard error. Nothing here
computes: every command is a few calls of the library. TensorFlow is loaded with the first video that can be read, so
that ``--help``, ``labels``, ``models`` and mistakes are answered at once.

==============  ==========================================================================================
module          what it holds
==============  ==========================================================================================
`program`       `main`: reads the command line, runs a command, tells what failed; the list of the commands
`demo`          ``demo``
`classify`      ``classify``
`stream`        ``stream``
`watch`         ``watch``
`watch_views`   what it prints: a table, lines or JSON
`batch`         ``batch``
`models`        ``models`` and ``labels``
`training`      ``fine-tune`` and ``evaluate``
`training_bar`  the line of the terminal that says how far these are
`quiet`         keeps what TensorFlow says of itself from the terminal
`export`        ``export``
`benchmark`     ``benchmark``
`videos`        what ``classify`` and ``stream`` share
`arguments`     options that commands share, and the types of what is typed
`output`        what is printed, and the exit statuses
==============  ==========================================================================================
"""

from movinet_lite.cli.program import main

__all__ = ["main"]
