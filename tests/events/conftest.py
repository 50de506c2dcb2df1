"""What pytest leaves out here: a program that runs in an environment of its own."""

collect_ignore = ["make_reference.py"]
