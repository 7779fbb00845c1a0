"""`python -m pivot.chain.gateway`: started beside the application by `pivot.node`."""

import argparse
import asyncio
import logging
from pathlib import Path

from pivot.chain.gateway.run import run_gateway


def main() -> None:
    arguments = argparse.ArgumentParser(description="gRPC and REST over the committed state of the chain.")
    arguments.add_argument("--database", type=Path, required=True, help="folder of the application's state")
    arguments.add_argument("--rpc", required=True, help="URL of the engine's RPC")
    arguments.add_argument("--grpc", required=True, help="host:port of gRPC")
    arguments.add_argument("--rest", required=True, help="host:port of REST")
    options = arguments.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    asyncio.run(run_gateway(options.database, options.rpc, options.grpc, options.rest))


if __name__ == "__main__":
    main()
