"""Tries an agent: installs it, lets it work once for the scripted model in a sandbox, and says what works.

Nothing is sent anywhere and no key is needed. `trial.py` runs the agent, `examining.py` judges what was seen.
"""
