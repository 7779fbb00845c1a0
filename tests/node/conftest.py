"""A stand-in for tmkms; the real one is in tests/e2e/test_signer.py."""

from pathlib import Path

import pytest

TMKMS = """#!/usr/bin/env python3
import base64, json, os, sys
_, _, what, *paths = sys.argv
if what == "import":
    key = base64.b64decode(json.load(open(paths[0]))["priv_key"]["value"])[:32]
else:
    key = os.urandom(32)
open(paths[-1], "w").write(base64.b64encode(key).decode())
"""


@pytest.fixture
def tmkms(tmp_path: Path) -> Path:
    """What `tmkms softsign import` and `keygen` do, without tmkms."""
    path = tmp_path / "tmkms"
    path.write_text(TMKMS)
    path.chmod(0o755)
    return path
