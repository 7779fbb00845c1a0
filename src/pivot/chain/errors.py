"""Expected failures: everything that a transaction can do wrong.

    Rejection                 code and codespace as clients know them, and a sentence that names what offended
    ├── SdkError              codespace `sdk`: what every Cosmos chain refuses
    ├── AuthzError            codespace `authz`: permissions
    ├── BankError             codespace `bank`: transfers
    ├── CollateralError       codespace `collateral`: coins that stand behind a weight
    ├── FeegrantError         codespace `feegrant`: fees that somebody else pays
    ├── GovError              codespace `gov`: proposals, deposits and votes
    ├── RestrictionError      codespace `restrictions`: transfers while they are restricted
    ├── SlashingError         codespace `slashing`: validators that sit out their time
    └── NetworkError          codespace `inference`: what Pivot's own modules refuse

Anything that is no Rejection is a bug and stops the node.
"""

from enum import IntEnum

MAX_LOG_CHARACTERS = 500
"""Of the sentence that tells why something was refused; it may quote what somebody has sent."""


class Rejection(Exception):
    """A transaction, a message or a query that is refused. `code` is above 0, `name` is its name."""

    codespace: str = ""

    def __init__(self, code: IntEnum, log: str) -> None:
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
    TX_TIMEOUT_HEIGHT = 30
    WRONG_SEQUENCE = 32
    NOT_FOUND = 38


class AuthzCode(IntEnum):
    """Published codes of codespace `authz`."""

    NO_AUTHORIZATION = 2
    INVALID_EXPIRATION = 3
    UNKNOWN_AUTHORIZATION = 4
    GRANTEE_IS_GRANTER = 7
    NUMBER_OF_SIGNERS = 9


class BankCode(IntEnum):
    """Published codes of codespace `bank`."""

    NO_INPUTS = 2
    NO_OUTPUTS = 3
    INPUT_OUTPUT_MISMATCH = 4
    MULTIPLE_SENDERS = 9


class CollateralCode(IntEnum):
    """Published codes of codespace `collateral`."""

    INVALID_DENOM = 1102


class FeegrantCode(IntEnum):
    """Published codes of codespace `feegrant`."""

    LIMIT_EXCEEDED = 2
    EXPIRED = 3
    INVALID_DURATION = 4
    NO_ALLOWANCE = 5
    NO_MESSAGES = 6
    MESSAGE_NOT_ALLOWED = 7


class RestrictionCode(IntEnum):
    """Codes of codespace `restrictions`; 1108 as published."""

    RESTRICTED = 1108
    NO_EXEMPTION = 1200
    USED_UP = 1201


class GovCode(IntEnum):
    """Published codes of codespace `gov`."""

    INACTIVE_PROPOSAL = 3
    INVALID_VOTE = 7
    UNROUTABLE_MESSAGE = 10
    INVALID_MESSAGE = 12
    INVALID_SIGNER = 13
    METADATA_TOO_LONG = 15
    DEPOSIT_TOO_SMALL = 16
    INVALID_PROPOSER = 18
    VOTING_PERIOD_ENDED = 20
    INVALID_PROPOSAL = 21
    SUMMARY_TOO_LONG = 22
    INVALID_DEPOSIT_DENOM = 23


class SlashingCode(IntEnum):
    """Published codes of codespace `slashing`."""

    NO_VALIDATOR = 2
    STILL_JAILED = 4
    NOT_JAILED = 5
    NO_SIGNING_INFO = 8
    TOMBSTONED = 9


class NetworkCode(IntEnum):
    """Codes of codespace `inference`; 1100 to 1138 as published, Pivot's own from 1200."""

    NOT_GOVERNANCE = 1100
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
    DUTIES_MISSING = 1209
    DISPUTE_NOT_FOUND = 1210
    TRAINING_TASK_NOT_FOUND = 1220
    TRAINING_RECORD_NOT_FOUND = 1221
    TRAINING_WRONG_STATUS = 1222
    TRAINING_CLAIMED = 1223
    TRAINING_NOT_ASSIGNED = 1224
    TRAINING_NOT_JOINED = 1225
    TRAINING_TOO_EARLY = 1226
    TRAINING_LIMIT = 1227


def tells_absence(refusal: Rejection) -> bool:
    """Whether a query is refused because there is no such thing, not because it is wrong."""
    return refusal.code in _ABSENCE.get(refusal.codespace, ())


_ABSENCE: dict[str, frozenset[int]] = {
    "sdk": frozenset({SdkCode.UNKNOWN_ADDRESS, SdkCode.NOT_FOUND}),
    "slashing": frozenset({SlashingCode.NO_VALIDATOR, SlashingCode.NO_SIGNING_INFO}),
    "inference": frozenset(
        {
            NetworkCode.INFERENCE_NOT_FOUND,
            NetworkCode.PARTICIPANT_NOT_FOUND,
            NetworkCode.EPOCH_NOT_FOUND,
            NetworkCode.CURRENT_EPOCH_NOT_FOUND,
            NetworkCode.UPCOMING_EPOCH_NOT_FOUND,
            NetworkCode.INVALID_MODEL,
            NetworkCode.DISPUTE_NOT_FOUND,
            NetworkCode.TRAINING_TASK_NOT_FOUND,
            NetworkCode.TRAINING_RECORD_NOT_FOUND,
        }
    ),
}


def absence_log(sentence: str) -> str:
    """The log of an `abci_query` when there is no such thing. Wallets tell by its first and last words that an account is new."""
    return f"{_BEFORE}{sentence}{_BEHIND}"


def sentence_of_absence(log: str) -> str | None:
    """What `absence_log` was given; None for any other log."""
    is_one = log.startswith(_BEFORE) and log.endswith(_BEHIND)
    return log.removeprefix(_BEFORE).removesuffix(_BEHIND) if is_one else None


_BEFORE, _BEHIND = "rpc error: code = NotFound desc = ", ": key not found"


class SdkError(Rejection):
    codespace = "sdk"

    def __init__(self, code: SdkCode, log: str) -> None:
        super().__init__(code, log)


class AuthzError(Rejection):
    codespace = "authz"

    def __init__(self, code: AuthzCode, log: str) -> None:
        super().__init__(code, log)


class BankError(Rejection):
    codespace = "bank"

    def __init__(self, code: BankCode, log: str) -> None:
        super().__init__(code, log)


class CollateralError(Rejection):
    codespace = "collateral"

    def __init__(self, code: CollateralCode, log: str) -> None:
        super().__init__(code, log)


class FeegrantError(Rejection):
    codespace = "feegrant"

    def __init__(self, code: FeegrantCode, log: str) -> None:
        super().__init__(code, log)


class RestrictionError(Rejection):
    codespace = "restrictions"

    def __init__(self, code: RestrictionCode, log: str) -> None:
        super().__init__(code, log)


class GovError(Rejection):
    codespace = "gov"

    def __init__(self, code: GovCode, log: str) -> None:
        super().__init__(code, log)


class SlashingError(Rejection):
    codespace = "slashing"

    def __init__(self, code: SlashingCode, log: str) -> None:
        super().__init__(code, log)


class NetworkError(Rejection):
    codespace = "inference"

    def __init__(self, code: NetworkCode, log: str) -> None:
        super().__init__(code, log)
