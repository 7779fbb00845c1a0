"""`make fuzz CASES=`: prints the cases by door, and every finding."""

import argparse
import sys

from tests.fuzz.run import fuzz


def main() -> int:
    """Returns 1 if something was found."""
    parser = argparse.ArgumentParser(prog="make fuzz", description=__doc__)
    parser.add_argument("--cases", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    counts, findings = fuzz(options.cases, options.seed)
    print(*(f"{count:9} {name}" for name, count in sorted(counts.items())), sep="\n")
    print(*findings[:100], sep="\n", file=sys.stderr)
    return int(bool(findings))


if __name__ == "__main__":
    sys.exit(main())
