"""The application without an engine, under seeded random operations of honest and hostile actors (`make simulate`)."""
