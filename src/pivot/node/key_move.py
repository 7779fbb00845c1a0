"""Move the consensus key of a host that signs by itself to a signer, with the memory of what it has signed.

Nothing of it can sign twice: the node does not run meanwhile, the signer remembers the last signature before it has the key, and
a node that was left between two steps does not start. Done again, it goes on where it was cut short.
"""

import json
from pathlib import Path

from pivot.node.addresses import HostPort, dialled, parse_address, require_free
from pivot.node.engine_home import UNUSED_KEY_FILES, EngineHome
from pivot.node.errors import HomeUnusable
from pivot.node.exclusive import holding
from pivot.node.network_node import lock_file
from pivot.node.signer_home import SignerHome


def move_key(home: Path, signer: SignerHome, tmkms: Path, listen: HostPort) -> bytes:
    """Give the signer the key of the node in `home`, whose engine then waits for it at `listen`. Returns the public key.

    Raises NodeError: while the node runs, where there is no key to move, or the signer has another; then nothing has changed.
    """
    engine = EngineHome(home / "engine")
    try:
        chain_id, config = str(json.loads(engine.genesis_file.read_bytes())["chain_id"]), engine.config()
        places = {f"CONFIG_{name}__laddr": parse_address(config[name]["laddr"]) for name in ("p2p", "rpc")}
    except (OSError, ValueError, KeyError) as error:
        raise HomeUnusable(f"{home} is not the folder of a node that has joined a network: {error}") from error
    with holding(lock_file(home)):
        for name, place in places.items():
            require_free(place, f"{name}: the node in {home} must not run")
        if not engine.consensus_key_file.exists():
            raise HomeUnusable(f"{engine.consensus_key_file} is missing: there is no key to move")
        signer.require_same(engine, chain_id)
        config[""] |= {"priv_validator_laddr": f"tcp://{listen}", **UNUSED_KEY_FILES}
        engine.write_config(config, {})  # from here on the engine does not start with a key of its own
        signer.write_config(chain_id, str(dialled(listen)))
        signer.take_key(tmkms, engine)
    return signer.consensus_key()
