"""An application as PID 1, as in many images: it runs one child and waits for
that one alone. Orphans that come to it stay zombies."""

import subprocess
import sys

sys.exit(subprocess.run(sys.argv[1:], check=False).returncode)
