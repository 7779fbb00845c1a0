"""Behaves as vLLM does from outside: its command line, its log, its health, its way to end. It knows no models."""
