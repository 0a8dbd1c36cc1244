"""Rewrite the golden files. Look at the difference before keeping it."""

from __future__ import annotations

from drawings import FOLDER, texts

if __name__ == "__main__":
    for name, text in texts():
        (FOLDER / name).write_text(text, encoding="utf-8")
