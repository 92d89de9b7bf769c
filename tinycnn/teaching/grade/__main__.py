import sys

from tinycnn.teaching.grade.command import main

sys.exit(main())
