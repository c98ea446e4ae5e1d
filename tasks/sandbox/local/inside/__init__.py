"""What runs beside a command that is not isolated: standard library only, Python 3.8 and newer."""
