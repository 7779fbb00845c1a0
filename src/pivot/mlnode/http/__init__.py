"""The management port: `/api/v1/…` in the published shapes, one file per group of routes (docs/mlnode.md)."""
