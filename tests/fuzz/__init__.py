"""Whatever comes from outside is answered or refused: never a crash, never another state, always a code and a sentence."""

import cosmpy.protos  # noqa: F401  (puts the folder of the standard types on the path)
