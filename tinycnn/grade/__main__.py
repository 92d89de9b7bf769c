import sys

from tinycnn.grade.command import main

sys.exit(main())
