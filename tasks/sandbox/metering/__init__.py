"""What a command uses of the processor, read from outside: of everything that it started, whatever became of it.

    process = sandbox.start(command)
    before = process.cpu_ns()
    ...
    used = process.cpu_ns() - before      # children and threads included, waited for or not, gone or not
    process.meter.complete                # False: children may have ended that nobody counted
    sandbox.meter                         # which kind of meter this sandbox has here: part of the fingerprint

Kinds, best first: the command's own control group (`groups`), what the engine says of a container
(`tasks.sandbox.docker.meter`), the group of the worker itself less what is known (`worker`, beside `processes`), the
processes that can be seen (`processes`), none.
"""
