"""A service of the system that runs `clipsight watch` whenever the user is logged in."""

import os
import sys
from collections.abc import Sequence
from xml.sax.saxutils import escape

from clipsight.core.errors import LibraryError
from clipsight.core.paths import expand

_SYSTEMD = """\
# Save as ~/.config/systemd/user/clipsight-watch.service, then:
#   systemctl --user daemon-reload && systemctl --user enable --now clipsight-watch
[Unit]
Description=clipsight: keep the index of photos up to date

[Service]
ExecStart={command}
Nice=19
IOSchedulingClass=idle
Restart=on-failure
RestartSec=60

[Install]
WantedBy=default.target
"""

_LAUNCHD = """\
<?xml version="1.0" encoding="UTF-8"?>
<!DOCTYPE plist PUBLIC "-//Apple//DTD PLIST 1.0//EN" "http://www.apple.com/DTDs/PropertyList-1.0.dtd">
<!-- Save as ~/Library/LaunchAgents/clipsight.watch.plist, then:
     launchctl load ~/Library/LaunchAgents/clipsight.watch.plist -->
<plist version="1.0">
<dict>
  <key>Label</key><string>clipsight.watch</string>
  <key>ProgramArguments</key>
  <array>
{arguments}
  </array>
  <key>RunAtLoad</key><true/>
  <key>KeepAlive</key><dict><key>SuccessfulExit</key><false/></dict>
  <key>LowPriorityIO</key><true/>
  <key>Nice</key><integer>19</integer>
</dict>
</plist>
"""


def watch_unit(
    folders: Sequence[str | os.PathLike[str]],
    *,
    library: str | os.PathLike[str] | None = None,
    settle: float = 2.0,
    rescan: float = 60.0,
    platform: str = sys.platform,
) -> str:
    """The text of a systemd user unit, or for macOS of a launchd property list, for `clipsight watch`.

    `folders`, `library`, `settle` and `rescan` are those of the command. Raises `LibraryError` for a path
    that such a file can't hold: one with a line break, or that is not UTF-8.
    """
    options = ["--settle", f"{settle:g}", "--rescan", f"{rescan:g}"]
    if library is not None:
        options += ["--library", os.path.abspath(expand(library))]
    paths = [os.path.abspath(expand(folder)) for folder in folders]
    words = [sys.executable, "-m", "clipsight", "watch", *options, *paths]
    for word in words:
        if not word.isprintable():
            raise LibraryError(f"{word!r} can't be written into a service: rename it")
    if platform == "darwin":
        lines = "\n".join(f"    <string>{escape(word)}</string>" for word in words)
        return _LAUNCHD.format(arguments=lines)
    return _SYSTEMD.format(command=" ".join(map(_quoted, words)))


def _quoted(word: str) -> str:
    """A word of a systemd command line: quoted, without specifiers and variables (systemd.service(5))."""
    for character, replacement in (("\\", "\\\\"), ('"', '\\"'), ("%", "%%"), ("$", "$$")):
        word = word.replace(character, replacement)
    return f'"{word}"'
