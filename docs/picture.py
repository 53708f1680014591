"""Take the README's picture of a report: `python docs/picture.py RUN/report.html` (needs chromium on the path).

Writes docs/report.png: the top of the page at laptop width, light.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

QUIET = (
    "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync --hide-scrollbars"
)


def main(page: Path) -> None:
    """One screenshot of 1,180 x 1,240 pixels."""
    browser = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if browser is None:
        sys.exit("No chromium found; install one to take the picture.")
    out = Path(__file__).parent / "report.png"
    with tempfile.TemporaryDirectory() as profile:
        command = [browser, *QUIET.split(), f"--user-data-dir={profile}", "--window-size=1180,1240"]
        subprocess.run([*command, f"--screenshot={out}", page.resolve().as_uri()], check=True, capture_output=True)
    print(f"wrote {out} ({out.stat().st_size // 1024} KiB)")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
