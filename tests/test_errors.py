"""What a user can mend is one line, and what nobody foresaw keeps its traceback."""

import pytest

from ldm_ocean.errors import DEBUG_VARIABLE, UserError, exit_politely

FULL_MEMORY = [
    MemoryError(),
    MemoryError("Unable to allocate 3.2 GiB for an array"),
    RuntimeError("CUDA out of memory. Tried to allocate 20.00 MiB."),
    RuntimeError("CUDA error: out of memory\nCUDA kernel errors might be asynchronously reported"),
    RuntimeError("[enforce fail at alloc_cpu.cpp:117] DefaultCPUAllocator: can't allocate memory: you tried"),
    RuntimeError("RESOURCE_EXHAUSTED: Out of memory allocating 1 bytes"),
]
NOT_FULL = [
    RuntimeError("CUDA error: an illegal memory access was encountered"),
    RuntimeError("Expected a contiguous memory format"),
]


def raising(error: Exception):
    def main():
        raise error

    return main


@pytest.mark.parametrize("error", FULL_MEMORY, ids=lambda e: str(e)[:30])
def test_memory_that_does_not_suffice_is_one_line(error, capsys):
    with pytest.raises(SystemExit) as end:
        exit_politely(raising(error))
    assert end.value.code == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: not enough memory (")


@pytest.mark.parametrize("error", NOT_FULL, ids=str)
def test_other_trouble_with_memory_is_not_taken_for_a_lack_of_it(error, capsys):
    with pytest.raises(RuntimeError, match=str(error)):
        exit_politely(raising(error))
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("asked", ["--debug", "a variable", ""])
def test_the_traceback_of_an_error_is_shown_where_it_is_asked_for(asked, capsys, monkeypatch):
    monkeypatch.setenv(DEBUG_VARIABLE, "1" if asked == "a variable" else "")
    with pytest.raises(SystemExit) as end:
        exit_politely(raising(UserError("wrong")), ["sample", asked])
    lines = capsys.readouterr().err.splitlines()
    assert end.value.code == 2 and lines[-1] == "error: wrong"
    assert len(lines) == 1 if not asked else "in main" in "".join(lines)
