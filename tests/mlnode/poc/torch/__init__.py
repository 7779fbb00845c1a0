import pytest

pytest.importorskip("torch", reason="torch is an extra: pip install 'pivot[torch]'")
