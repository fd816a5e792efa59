"""What all tests share.

Runs write no picture unless a test asks for one, which takes it most of a second. Processes that tests start hear an
interrupt even where the tests run as a background job, which does not.
"""

import os
import signal

os.environ["SANDBOX_NO_PLOT"] = "1"  # in processes that tests start as well
if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
