"""vLLM, unmodified, as the production engine: one server per group of devices, started as the published node starts it."""
