"""The network of the request path's tests, for the tests of its HTTP side."""

from tests.api.inference.conftest import network

__all__ = ["network"]
