"""What runs: one file per flow, read top to bottom like a recipe, and the command line."""

import os

from flows.surroundings import reach_loopback_directly

# Prefect waits 20 s for the temporary server that it starts for a flow called from Python; creating its database takes
# a slow machine longer. A user's own setting wins.
os.environ.setdefault("PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS", "180")

# A proxy that leads out of a company leads to no server on this machine.
reach_loopback_directly()
