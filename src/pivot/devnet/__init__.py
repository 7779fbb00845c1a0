"""A whole network on one machine: real engine, real HTTP, a real (tiny) model, on a CPU."""
