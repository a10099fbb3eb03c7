"""End the thread that ThreadSanitizer makes for itself, in each process: it takes no signals.

The sanitizer ends it where a process is about to enter a sandbox. It makes it with the first
thread, and anew in a child.
"""

import ctypes
import os
import threading


def end_its_thread():
    first = threading.Thread(target=int)
    first.start()
    first.join()
    arguments = (ctypes.c_long * 3)()  # struct __sanitizer_sandbox_arguments: nothing is wanted
    ctypes.CDLL(None).__sanitizer_sandbox_on_notify(arguments)


end_its_thread()
os.register_at_fork(after_in_child=end_its_thread)
