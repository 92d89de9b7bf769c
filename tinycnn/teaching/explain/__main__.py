import sys

from tinycnn.teaching.explain import main

sys.exit(main())
