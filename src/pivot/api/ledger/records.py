"""What the states of the chain's records say."""

from pivot.protocol.generated.inference.inference.types_pb2 import InferenceStatus

PAID = frozenset({InferenceStatus.FINISHED, InferenceStatus.VALIDATED, InferenceStatus.VOTING})
"""In these states an inference's cost has gone to its executor."""
