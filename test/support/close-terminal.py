"""Runs a command at a terminal of its own, closes the terminal once SHOWN is on it, and exits as the command did.

close-terminal.py SHOWN PROGRAM [ARGS...]
"""

import os
import pty
import sys

shown, program = sys.argv[1].encode(), sys.argv[2:]
pid, terminal = pty.fork()
if pid == 0:
    os.execvp(program[0], program)
seen = b""
while shown not in seen:
    chunk = os.read(terminal, 4096)
    if not chunk:
        break
    seen += chunk
os.close(terminal)
_, status = os.waitpid(pid, 0)
sys.exit(os.waitstatus_to_exitcode(status))
