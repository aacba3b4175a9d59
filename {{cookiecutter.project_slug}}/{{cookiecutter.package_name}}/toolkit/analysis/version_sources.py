"""The versions that the log names: pulled into the store, or why they cannot be had."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from ..common.errors import UserError
from ..common.names import CHAMPION
from ..registry.client import RegisteredVersion, Registry, find
from ..release.store import Store
from .version_analysis import VersionSource
from .version_counts import Reference


class Sources:
    """The versions of the registry, pulled into the store when the log names them."""

    def __init__(self, registry: Registry, store: Store) -> None:
        self._registry, self._store = registry, store
        self._versions: list[RegisteredVersion] = registry.versions()
        champion = find(self._versions, CHAMPION)
        self.champion = champion.number if champion else None
        self._found: dict[int, VersionSource] = {}

    def check_champion(self) -> None:
        """Raise `UserError` if there is a champion, on which the rules decide, but it cannot be had."""
        if self.champion and (problem := self.of(self.champion).problem):
            raise UserError(problem)

    def folder(self, number: int) -> Path | None:
        """Return the folder of a version, None if it cannot be had."""
        return self.of(number).folder

    def of(self, number: int) -> VersionSource:
        """Return where a version is, or why it cannot be had."""
        if number not in self._found:
            self._found[number] = self._pull(number)
        return self._found[number]

    def with_champion(self, numbers: Iterable[int]) -> list[int]:
        """Return the numbers of versions and that of the champion, the newest first."""
        return sorted({*numbers, *([self.champion] if self.champion else [])}, reverse=True)

    def _pull(self, number: int) -> VersionSource:
        version = find(self._versions, str(number))
        if version is None:
            return VersionSource(number, problem=f"version {number} is not in {self._registry.uri}.")
        try:
            folder = self._store.pull(version, self._registry.download)
            Reference.read(folder)
        except UserError as error:
            return VersionSource(number, version.aliases, problem=str(error))
        except (OSError, ValueError) as error:
            return VersionSource(number, version.aliases, problem=f"version {number} cannot be read ({error}).")
        return VersionSource(number, version.aliases, folder)
