"""Slides from executed chapters: `blocks` reads a notebook, `compose` picks by rules, `render` writes a deck."""
