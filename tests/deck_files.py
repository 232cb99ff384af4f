"""The built decks of slides, and what must not be seen on one."""

from site_files import ROOT

DECKS = ROOT / "_build" / "slides"
BUILT = sorted(path.stem for path in DECKS.glob("[0-9]*.html"))
LEAKS = r"```|:::|\{[a-z][\w:-]*\}`|\$|\\\(|\\\[|\\begin\{|^\s*> |\*\*|\(\(\d|##"  # markup of MyST, Markdown or TeX
