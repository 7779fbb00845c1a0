"""The genesis ceremony: how the first hosts of a network agree on its first state, each with keys that nobody else sees.

A coordinator drafts the document and gives first coins (`draft.py`); every host signs its registration offline (`gentx.py`); the
coordinator puts them together (`collection.py`); everybody checks the document's hash and makes a node of it (`installation.py`).
"""
