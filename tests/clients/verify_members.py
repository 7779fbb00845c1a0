"""gonka-openai's own check of a participants answer in a file: `verify_members.py FILE`. The last line is JSON."""

import json
import sys

from gonka_openai.get_participants_with_proof import get_participants_with_proof_from_file

endpoints = get_participants_with_proof_from_file(sys.argv[1])
sys.stdout.write(json.dumps([[endpoint.url, endpoint.address] for endpoint in endpoints]))
