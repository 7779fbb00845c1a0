"""What Prometheus gathers of this node, at `GET /metrics` on the admin port (docs/operations.md)."""
