"""A page as a parser sees it: its elements with their attributes and texts."""

from __future__ import annotations

from html.parser import HTMLParser
from typing import Any


class Element:
    """An element with all the text inside it."""

    def __init__(self, tag: str, attributes: dict[str, str]) -> None:
        self.tag, self.attributes, self.text = tag, attributes, ""

    @property
    def classes(self) -> list[str]:
        """Return the classes."""
        return self.attributes.get("class", "").split()


class Page(HTMLParser):
    """The elements of a page, in their order."""

    EMPTY = ("meta", "link", "br", "wbr", "img", "input", "hr")

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[Element] = []
        self._open: list[Element] = []
        self.feed(text)
        self.close()
        assert [element.tag for element in self._open] == [], "each element is closed"

    def all(self, tag: str, kind: str = "", **attributes: str) -> list[Element]:
        """Return the elements of a tag, with a class and attributes, if they are given."""
        return [
            element
            for element in self.elements
            if element.tag == tag
            and (not kind or kind in element.classes)
            and all(element.attributes.get(name) == value for name, value in attributes.items())
        ]

    def texts(self, tag: str, kind: str = "") -> list[str]:
        """Return the texts of the elements of a tag, on one line each."""
        return [" ".join(element.text.split()) for element in self.all(tag, kind)]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, Any]]) -> None:
        """Open an element."""
        element = Element(tag, {name: value or "" for name, value in attrs})
        self.elements.append(element)
        if tag not in self.EMPTY:
            self._open.append(element)

    def handle_endtag(self, tag: str) -> None:
        """Close an element."""
        assert self._open.pop().tag == tag

    def handle_data(self, data: str) -> None:
        """Add a text to all elements that are open."""
        for element in self._open:
            element.text += data
