"""Makes an environment with five pure-Python packages and finds it again; prints both times as JSON."""

import json
import sys
import time
from pathlib import Path

import flyte
from flyte._image.venv import ensure_environment

PACKAGES = ("attrs==25.3.0", "idna==3.10", "packaging==25.0", "click==8.2.1", "jinja2==3.1.6")

home, force = Path(sys.argv[1]), sys.argv[2:] == ["--force"]
image = flyte.Image.from_debian_base(name="five").with_pip_packages(*PACKAGES)
start = time.perf_counter()
ensure_environment(image, home=home, force=force)
first_s = time.perf_counter() - start
start = time.perf_counter()
ensure_environment(image, home=home)
print(json.dumps({"first_s": first_s, "again_ms": (time.perf_counter() - start) * 1e3}))
