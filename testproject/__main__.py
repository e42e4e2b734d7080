import sys
from pathlib import Path

here = Path(__file__).resolve().parent
sys.path[:] = [str(here.parent), *(p for p in sys.path if Path(p or ".").resolve() != here)]
from testproject.rollout.command import main

sys.exit(main(sys.argv[2:]))
