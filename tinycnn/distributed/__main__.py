"""python -m tinycnn.distributed -n 2 PROGRAM: see `launch`."""

import sys

from tinycnn.distributed.launch import main

if __name__ == "__main__":
    sys.exit(main())
