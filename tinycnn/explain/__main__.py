import sys

from tinycnn.explain import main

sys.exit(main())
