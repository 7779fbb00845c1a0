"""What two processes must agree on: pure code, no I/O, no clock, no floats."""
