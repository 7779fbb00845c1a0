"""Expected failures: everything that a transaction can do wrong.

    Rejection                 code and codespace as clients know them, and a sentence that names what offended
    ├── SdkError              codespace `sdk`: what every Cosmos chain refuses
    └── NetworkError          codespace `inference`: what Pivot's own modules refuse

Anything that is no Rejection is a bug and stops the node.
"""

from enum import IntEnum

MAX_LOG_CHARACTERS = 500
"""Of the sentence that tells why something was refused; it may quote what somebody has sent."""


class Rejection(Exception):
    """A transaction, a message or a query that is refused. `code` is above 0, `name` is its name."""

    codespace: str = ""

    def __init__(self, code: "SdkCode | NetworkCode", log: str) -> None:
        super().__init__(log)
        self.code = int(code)
        self.name = code.name
        self.log = log[:MAX_LOG_CHARACTERS]


class SdkCode(IntEnum):
    """Published codes of codespace `sdk`."""

    TX_DECODE = 2
    UNAUTHORIZED = 4
    INSUFFICIENT_FUNDS = 5
    UNKNOWN_REQUEST = 6
    INVALID_ADDRESS = 7
    INVALID_PUBLIC_KEY = 8
    UNKNOWN_ADDRESS = 9
    INVALID_COINS = 10
    OUT_OF_GAS = 11
    MEMO_TOO_LARGE = 12
    INSUFFICIENT_FEE = 13
    NO_SIGNATURES = 15
    INVALID_REQUEST = 18
    TX_TOO_LARGE = 21
    KEY_NOT_FOUND = 22
    TX_TIMEOUT_HEIGHT = 30
    WRONG_SEQUENCE = 32
    NOT_FOUND = 38


class NetworkCode(IntEnum):
    """Codes of codespace `inference`; 1100 to 1138 as published, Pivot's own from 1200."""

    INFERENCE_ID_EXISTS = 1101
    INFERENCE_NOT_FOUND = 1102
    PARTICIPANT_NOT_FOUND = 1103
    REQUESTER_CANNOT_PAY = 1106
    POC_WRONG_EPOCH = 1107
    POC_OUTSIDE_WINDOW = 1108
    ACCOUNT_EXISTS = 1110
    EPOCH_NOT_FOUND = 1126
    CURRENT_EPOCH_NOT_FOUND = 1127
    UPCOMING_EPOCH_NOT_FOUND = 1128
    INVALID_SIGNATURE = 1132
    INFERENCE_EXPIRED = 1133
    INVALID_MODEL = 1134
    NOT_DRAWN = 1200
    CONSENSUS_KEY_TAKEN = 1201
    KEY_DOES_NOT_MATCH_ADDRESS = 1202
    ALREADY_DONE = 1203
    INVALID_FIELD = 1204
    NOT_A_MEMBER = 1205
    BATCH_TOO_LARGE = 1206
    NOTHING_TO_CLAIM = 1207
    WRONG_ELEMENT = 1208


class SdkError(Rejection):
    codespace = "sdk"

    def __init__(self, code: SdkCode, log: str) -> None:
        super().__init__(code, log)


class NetworkError(Rejection):
    codespace = "inference"

    def __init__(self, code: NetworkCode, log: str) -> None:
        super().__init__(code, log)
