"""What a person does on the report page, for the tests that do it in a browser."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import yaml

from chromium import Page
from report_records import make_round
from winnow2d.report.tables import RoundRecord

MADE_FOR = "ab" * 32


def a_round(number: int = 1, n: int = 60, **changes: Any) -> RoundRecord:
    """Return a round with six classes of ten particles, of which the first three are kept."""
    return dataclasses.replace(make_round(number, n), made_for=MADE_FOR, **changes)


def tile(number: int, part: str = ".pick", of: int = 1) -> str:
    """Return where a class of a round is on the page."""
    return f'#round-{of} .tile[data-class="{number}"] {part}'


def is_kept(page: Page, number: int, of: int = 1) -> bool:
    """Return whether a class is shown as kept."""
    return page.js(f"document.querySelector('{tile(number, of=of)}').ariaChecked") == "true"


def kept_classes(page: Page, n_classes: int = 6) -> list[int]:
    """Return the classes of round 1 that are shown as kept."""
    return [number for number in range(1, n_classes + 1) if is_kept(page, number)]


def sums(page: Page, of: int = 1) -> list[str]:
    """Return the sums that are shown below the averages."""
    return [" ".join(text.split()) for text in page.texts(f"#round-{of} .sum")]


def shown_classes(page: Page, of: int = 1) -> list[int]:
    """Return the classes that are seen, in their order on the page."""
    return [int(text.split()[0]) for text in page.texts(f"#round-{of} .tile .line:not(.small)")]


def sort_by(page: Page, key: str, of: int = 1) -> list[int]:
    """Choose an order and return the classes in it."""
    page.js(f"s = document.querySelector('#round-{of} .sort'); s.value = '{key}'; s.dispatchEvent(new Event('change'))")
    return shown_classes(page, of)


def try_threshold(page: Page, level: float) -> None:
    """Move the slider of round 1."""
    page.js(
        f"document.querySelector('.trial').open = true; s = document.querySelector('.threshold'); s.value = {level};"
        "s.dispatchEvent(new Event('input'))"
    )


def save(
    page: Page, name: str = "round_01.yaml", by: str | None = "Jane Doe", of: int = 1, folder: Path | None = None
) -> dict[str, Any]:
    """Return the file the page saves, as YAML reads it; it is put into a folder where one is given."""
    page.click(f'#round-{of} [data-act="save"]')
    if by is not None:
        page.write(f"#round-{of} .saving .by", by)
    page.click(f'#round-{of} [data-save="download"]')
    data = page.downloaded(name)
    (page.downloads / name).unlink()
    if folder is not None:
        folder.mkdir(exist_ok=True)
        (folder / name).write_bytes(data)
    page.press("Escape")
    return yaml.safe_load(data.decode("utf-8"))
