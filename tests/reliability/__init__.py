"""What a run must survive, R1 to R26; ``page.PROMISES`` says each in a sentence.

A test of this package, or anywhere below ``tests/``, names what it proves with

    @pytest.mark.reliability("R12")            several: ("R1", "R4");  one case: pytest.param(..., marks=...)

A law that takes minutes is marked ``slow`` and stands in the quick run too, in a small version with the same mark.
A test may leave a line for the page: ``record_property("report", "mini-basin  vae  RESTART  passed: step 20
bit-equal")``; the fixture ``verdict`` does so and fails with its first differing step.

    python -m pytest -m "slow or not slow" -p tests.reliability.page        writes docs/reliability.md (make test-all)
"""
