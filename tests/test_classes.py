"""What experiments on classes refuse."""

import pytest

from sandbox.errors import UsageError
from sandbox.families import classes


@pytest.mark.parametrize(
    ("corpus", "settings", "message"),
    [
        ("names", {"tsv": ""}, "tsv must be a readable file"),
        ("digits", {"mnist": ""}, "mnist must be a folder with IDX files"),
        ("roles", {"conll": ""}, "conll must be a readable file"),
        ("names", {"tsv": "own.tsv", "mnist": "."}, "--tsv must be left out with --mnist"),
    ],
)
def test_a_file_without_a_name_and_two_files_are_refused(corpus, settings, message):
    with pytest.raises(UsageError, match=message):
        classes.check({"corpus": [corpus], "model": ["gru"]}, settings)
