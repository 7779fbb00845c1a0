"""Ten thousand cases; a million on demand (`make fuzz`)."""

import pytest

from tests.fuzz.run import fuzz

CASES = 10_000


@pytest.mark.timeout(900)
def test_whatever_comes_from_outside_is_answered_or_refused() -> None:
    counts, findings = fuzz(CASES)
    assert findings == []
    assert min(counts.values()) > CASES // 20
