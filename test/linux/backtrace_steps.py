# SPDX-License-Identifier: BSD-3-Clause
# For gdb: steps through a hooked munmap of backtrace_program, instruction by instruction, and asks for a
# backtrace at each. Prints "steps N broken N stubs N": where a caller is missing in code that has a name,
# and in stubs, which have none.
import gdb

CALLERS = ["give_back", "in_between", "main"]


def names():
    frame = gdb.newest_frame()
    found = []
    while frame is not None and len(found) < 60:
        found.append(frame.name() or "?")
        try:
            frame = frame.older()
        except gdb.error:
            break
    return found


def is_complete(found):
    position = 0
    for caller in CALLERS:
        if caller not in found[position:]:
            return False
        position = found.index(caller, position)
    return True


def step_through():
    steps = broken = stubs = 0
    while True:
        found = names()
        if found[0] == "in_between" and steps > 0:
            break
        steps += 1
        if not is_complete(found):
            if found[0] == "?":
                stubs += 1
            else:
                broken += 1
                print("broken: pc", hex(gdb.newest_frame().pc()), " ".join(found))
        gdb.execute("stepi", to_string=True)
    print("steps", steps, "broken", broken, "stubs", stubs)


gdb.execute("set debuginfod enabled off")
gdb.execute("set pagination off")
gdb.execute("break give_back")
gdb.execute("set startup-with-shell off")
gdb.execute("run")
gdb.execute("set var is_looking = 0")
step_through()
