"""What all tests share: runs write no picture unless a test asks for one, which takes it most of a second."""

import os

os.environ["SANDBOX_NO_PLOT"] = "1"  # in processes that tests start as well
