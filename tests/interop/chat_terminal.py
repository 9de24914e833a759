"""Types into a program on a terminal of its own: chat_terminal.py STEPS PROGRAM ARGUMENTS...
STEPS is JSON: [[wait for this text, then type this], ...]. Prints what stood on the terminal, and the exit code, as JSON."""
import json
import os
import pty
import select
import sys
import time

steps, program = json.loads(sys.argv[1]), sys.argv[2:]
child, terminal = pty.fork()
if child == 0:
    os.execvp(program[0], program)

seen, since, end = "", 0, time.time() + 120
while time.time() < end:
    if select.select([terminal], [], [], 0.1)[0]:
        try:
            piece = os.read(terminal, 4096)
        except OSError:
            break
        if not piece:
            break
        seen += piece.decode("utf-8", "replace")
    while steps and steps[0][0] in seen[since:]:
        since = seen.index(steps[0][0], since) + len(steps[0][0])
        time.sleep(0.3)  # the program writes its prompt before it listens
        os.write(terminal, steps.pop(0)[1].encode())
else:
    os.kill(child, 9)
print(json.dumps({"seen": seen, "left": steps, "code": os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])}))
