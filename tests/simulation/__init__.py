"""The application without an engine, under seeded random operations of honest and hostile actors (`make simulate`)."""

import cosmpy.protos  # noqa: F401  (puts the folder of the standard types on the path)
