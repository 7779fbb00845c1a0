"""What can be wrong with a keyring.

KeyringError
├── KeyMissing        no key of this name or address
├── KeyExists         the name, or the key, is taken
├── NoSecret          the keyring holds the public key only
├── WrongPassword
├── DamagedRecord     a file that holds no key
├── DamagedArmor      an exported key that cannot be read
└── BackendUnusable   no such backend, or the system has no keyring
"""


class KeyringError(Exception):
    """A sentence for the person at the terminal."""


class KeyMissing(KeyringError):
    """There is no key of this name or address."""


class KeyExists(KeyringError):
    """The name, or the key, is taken."""


class NoSecret(KeyringError):
    """The keyring holds the public key only."""


class WrongPassword(KeyringError):
    """The password does not open the key."""


class DamagedRecord(KeyringError):
    """A file that holds no key. It is never overwritten: it may be the only copy."""


class DamagedArmor(KeyringError):
    """An exported key that cannot be read."""


class BackendUnusable(KeyringError):
    """No such backend, or the system has no keyring."""
