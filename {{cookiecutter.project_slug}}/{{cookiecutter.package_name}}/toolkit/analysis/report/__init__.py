"""The page of `make monitor`: a summary as one self-contained HTML file, for screens, phones and paper."""

from .page import render

__all__ = ["render"]
