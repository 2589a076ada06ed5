"""Runs a command at a terminal of its own, types KEYS once it asks, and prints everything that the terminal showed.

at-terminal.py KEYS PROGRAM [ARGS...]
"""

import os
import pty
import sys

keys, program = sys.argv[1].encode().decode("unicode_escape").encode(), sys.argv[2:]
pid, terminal = pty.fork()
if pid == 0:
    os.execvp(program[0], program)
shown, typed = b"", False
while True:
    try:
        chunk = os.read(terminal, 4096)
    except OSError:  # how Linux tells that the other side is closed
        break
    if not chunk:
        break
    shown += chunk
    if not typed and b"not shown" in shown:
        os.write(terminal, keys)
        typed = True
_, status = os.waitpid(pid, 0)
sys.stdout.buffer.write(shown)
sys.exit(os.waitstatus_to_exitcode(status))
