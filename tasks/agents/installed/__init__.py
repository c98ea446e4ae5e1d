"""Agents that are installed: from a file of `configs/agents/` to a command line and a trajectory.

`installing.py` installs an agent once for all of its attempts, `launching.py` fills in its command line, `reading.py`
reads what it left. A file named like an agent reads that one's events; nothing else about an agent is code.
"""
