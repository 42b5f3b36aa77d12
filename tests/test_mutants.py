"""The list of faults stays alive while code moves: each has its place, and tests that should notice it."""

import ast
from collections import Counter
from pathlib import Path

import pytest

from .mutants import PACKAGE, ROOT, read_faults

FAULTS = read_faults()


@pytest.mark.parametrize("fault", FAULTS, ids=lambda f: f.name)
def test_every_fault_has_one_place_and_is_another_program(fault):
    right, wrong = (ROOT / PACKAGE / fault.file).read_text(), fault.text(ROOT / PACKAGE)
    assert ast.dump(ast.parse(wrong)) != ast.dump(ast.parse(right))


def test_every_fault_has_a_name_of_its_own_and_tests_that_are_there():
    assert [name for name, times in Counter(f.name for f in FAULTS).items() if times > 1] == []
    for fault in FAULTS:
        assert fault.tests
        for node in fault.tests:
            file, _, function = node.partition("::")
            text = (Path(__file__).parent / file).read_text()
            assert f"def {function.split('[')[0]}(" in text if function else "def test_" in text
